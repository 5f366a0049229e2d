/* Reading articles: one, lists, the feed. What is not the reader's to see is as if it were not there. */
#ifndef COURANT_DOMAIN_ARTICLE_QUERY_H
#define COURANT_DOMAIN_ARTICLE_QUERY_H

#include "domain/article.h"
#include "events/known.h"

/* Who reads, and by what. */
struct reading {
    struct sql *db;
    struct arena *arena; /* of all that is found */
    const struct actor *reader;
    struct known *known; /* may be NULL */
    struct names *names; /* may be NULL */
};

/* One article. */
struct article_view {
    int64_t position; /* of the log; what is shown has in it at least all up to there */
    int64_t version, updated_at;
    struct str summary, rest; /* {NULL, 0} where what is shown is known */
    bool renamed;             /* what is shown may differ from what was at this version: in its author's name */
    struct author author;
};

/*
 * By its id or its slug. known: a version that the reader has seen, or 0. ERR_ABSENT where there is none that the
 * reader may see, ERR_GONE where it was deleted; then too position is set.
 */
int article_find(const struct reading *reading, const char *name, int64_t known, struct article_view *view,
                 struct err *err);

/*
 * The same as it was at a version, or at a moment (INT64_MAX: not asked for); ERR_ABSENT also where it was not there
 * yet, or a draft of somebody else's, then or now.
 */
int article_find_as_of(const struct reading *reading, const char *name, int64_t version, int64_t moment,
                       struct article_view *view, struct err *err);

enum { ARTICLE_PAGE_MOST = 100, ARTICLE_FEED = 20 };

/* Which articles; NULL: any. before: those created before the one of this id. */
struct article_filter {
    const char *author, *tag, *status, *search, *before;
    size_t limit;
};

/* Newest first. */
struct article_page {
    int64_t position;
    size_t count;
    bool more;
    const char *last; /* the id of the last one */
    struct author *authors;
    struct str *summaries;
};

int article_list(const struct reading *reading, const struct article_filter *filter, struct article_page *page,
                 struct err *err);

/* One entry of the feed. */
struct article_entry {
    const char *id, *slug, *author;
    struct str title, lead, html;
    int64_t published_at, updated_at;
};

/* What was published last, at most ARTICLE_FEED of them. */
int article_feed(const struct reading *reading, struct article_entry entries[ARTICLE_FEED], size_t *count,
                 int64_t *position, struct err *err);

/* Revisions: what an article said, and since which version. The log holds them. */
struct article_revision {
    int64_t revision, end;       /* end: the version of the event that ends it */
    int64_t version, created_at; /* version: one that has it and that the reader may read */
    struct article_content content;
    const char *author_id, *author_name; /* who made it; NULL where unknown, or not the reader's to know */
};

struct article_revisions {
    int64_t position;
    size_t count;
    bool more;
    struct article_revision *list;
};

/* Newest first, those that end before a version; ERR_ABSENT and ERR_GONE as article_find. */
int article_revision_list(const struct reading *reading, const char *id, int64_t before, size_t limit,
                          struct article_revisions *revisions, struct err *err);

/* ERR_ABSENT also where the revision was never to be seen by the reader. */
int article_revision_find(const struct reading *reading, const char *id, int64_t number,
                          struct article_revision *revision, int64_t *position, struct err *err);

/* The content of a revision, whoever asks; 1 found, 0 there is none. */
int article_revision_content(struct sql *db, struct arena *arena, const char *id, int64_t number,
                             struct article_content *content, struct err *err);

#endif
