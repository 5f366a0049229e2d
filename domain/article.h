/*
 * Articles: commands, projections, queries. A stream per article, «article-<id>»; its version is the article's.
 */
#ifndef COURANT_DOMAIN_ARTICLE_H
#define COURANT_DOMAIN_ARTICLE_H

#include "events/command.h"

extern const struct read_model ARTICLES;

extern const struct command_type CREATE_ARTICLE;
extern const struct command_type UPDATE_ARTICLE;
extern const struct command_type PUBLISH_ARTICLE;

/* The row, and the state that the events make. */
struct article {
    const char *id, *author_id, *author_name, *status;
    struct str title, subtitle, lead, content, tags; /* tags: a JSON array */
    int64_t version, revision;
    int64_t created_at, updated_at, published_at; /* published_at: INT64_MIN where it never was */
};

int article_created(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_imported(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_updated(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_revision_created(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_published(void *state, const struct envelope *event, struct arena *arena, struct err *err);
/* The upcasters of article.published. */
extern const upcaster ARTICLE_PUBLISHED_UP[];

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

/*
 * The same as it was at a version, or at a moment (INT64_MAX: not asked for); ERR_ABSENT also where it was not there
 * yet, or a draft of somebody else's, then or now.
 */
int article_find_as_of(struct sql *db, struct arena *arena, const struct actor *reader, const char *id, int64_t version,
                       int64_t moment, struct article *article, int64_t *position, struct err *err);

/* Articles created before the one named `before` (NULL: the newest), at most limit; without their content. */
int article_list(struct sql *db, struct arena *arena, const struct actor *reader, const char *before, size_t limit,
                 struct article_page *page, struct err *err);

/* The article as JSON, with its content or without. */
void article_json(struct buf *buf, const struct article *article, bool with_content);

bool article_visible(const struct article *article, const struct actor *reader);

/* What the commands share: ERR_ABSENT for who may not see the article, ERR_DENIED for who may not change it. */
int article_may_edit(const void *state, const struct command *command, struct err *err);
/* The members title, subtitle, lead, content and tags of a payload as the beginning of an event's data: «{"id":…,». */
void article_content_json(struct buf *buf, const char *id, const struct command *command);
struct str article_revision_json(const struct command *command, const char *id, int64_t revision);
struct str article_published_json(const struct command *command, const char *id);

#endif
