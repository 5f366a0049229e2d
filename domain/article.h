/*
 * Articles: commands, projections, queries. A stream per article, «article-<id>»; its version is the article's.
 */
#ifndef COURANT_DOMAIN_ARTICLE_H
#define COURANT_DOMAIN_ARTICLE_H

#include "base/buf.h"
#include "events/command.h"

extern const struct command_type CREATE_ARTICLE;

int article_created(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err);
int article_revision_created(struct sql_batch *batch, const struct envelope *event, struct arena *arena,
                             struct err *err);
int article_published(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err);

struct article {
    const char *id, *author_id, *author_name, *status;
    struct str title, subtitle, lead, content, tags; /* tags: a JSON array */
    int64_t version;
    int64_t created_at, updated_at, published_at; /* published_at: INT64_MIN where it never was */
};

/* Articles that a query found, newest first, and the log position that it reflects. */
struct article_page {
    int64_t position;
    size_t count;
    bool more;
    struct article *articles;
};

enum { ARTICLE_PAGE_MOST = 100 };

/* One article; ERR_ABSENT where there is none that the reader may see, and then too position is set. */
int article_find(struct sql *db, struct arena *arena, const struct actor *reader, const char *id,
                 struct article *article, int64_t *position, struct err *err);

/* Articles created before the one named `before` (NULL: the newest), at most limit; without their content. */
int article_list(struct sql *db, struct arena *arena, const struct actor *reader, const char *before, size_t limit,
                 struct article_page *page, struct err *err);

/* The article as JSON, with its content or without. */
void article_json(struct buf *buf, const struct article *article, bool with_content);

/* The article that CREATE_ARTICLE has just made. */
int article_of_event(const struct envelope *event, struct arena *arena, struct article *article, struct err *err);

#endif
