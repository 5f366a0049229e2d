/*
 * Articles: commands, projections, queries. A stream per article, «article-<id>»; its version is the article's.
 *
 * A deleted article keeps its row, without what it said: its slug is not given to another, and who could see it is told
 * that it is gone. A slug follows the title until the article is published for the first time; then it gets the one
 * that stays.
 */
#ifndef COURANT_DOMAIN_ARTICLE_H
#define COURANT_DOMAIN_ARTICLE_H

#include "domain/names.h"
#include "events/command.h"

extern const struct read_model ARTICLES;

extern const struct command_type CREATE_ARTICLE;
extern const struct command_type UPDATE_ARTICLE;
extern const struct command_type PATCH_ARTICLE;
extern const struct command_type DELETE_ARTICLE;
extern const struct command_type PUBLISH_ARTICLE;
extern const struct command_type UNPUBLISH_ARTICLE;
extern const struct command_type RESTORE_REVISION;

/* What a writer chooses. tags: a JSON array. */
struct article_content {
    struct str title, subtitle, lead, content, tags;
};

/* The row, and the state that the events make. */
struct article {
    const char *id, *author_id, *status, *slug;
    struct article_content content;
    int64_t version, revision;
    int64_t slug_kept; /* 1: it was public once */
    int64_t created_at, updated_at;
    int64_t published_at; /* INT64_MIN where it is no longer, or never was; a deleted one that was public keeps it */
    /*
     * Derived: the article as JSON without author, content and html, and the latter two, «"content":…,"html":…»; what
     * the search needs beside the text of what is published (base/words.h).
     */
    struct str summary, rest, extra;
    /* Not of the row: a name is its user's, who may change it or have it erased. Only a command reads it. */
    const char *author_name;
};

int article_created(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_imported(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_updated(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_revision_created(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_published(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_unpublished(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int article_deleted(void *state, const struct envelope *event, struct arena *arena, struct err *err);
/* Whether an article is published as an article.imported says. */
bool article_imported_shows(const struct envelope *event);
/* What an article.created, .updated or .imported says. */
int article_event_content(const struct envelope *event, struct arena *arena, struct article_content *content,
                          struct err *err);
/* The upcasters, by event. */
extern const upcaster ARTICLE_CREATED_UP[];
extern const upcaster ARTICLE_IMPORTED_UP[];
extern const upcaster ARTICLE_PUBLISHED_UP[];

/* Whether anybody may read it, or could before it was deleted. */
bool article_public(const struct article *article);
bool article_visible(const struct article *article, const struct actor *reader);
/* Of an event that everybody is to see: it names the author and the editors too. */
const char *article_audience_of_all(const struct article *article, struct arena *arena);

/* See struct model. One query, if any of the events asks for it. */
int articles_withdrawn(struct sql *db, struct arena *arena, bool (*add)(void *context, const char *stream),
                       void *context, struct err *err);

/* An article as it is sent: the derived columns and its author, joined; without content and html where rest is empty.
 */
void article_json(struct buf *buf, struct str summary, struct author author, struct str rest);

/*
 * A slug for a title. clashes: how many shorter ones were taken; the more, the more digits of the id it has. Pure. NULL
 * when the arena is exhausted.
 */
const char *article_slug(struct arena *arena, struct str title, const char *id, int clashes);

/* What the commands share. */

/* The content that a payload asks for; what it does not name is that of before, or empty where before is NULL. */
bool article_content_of(const struct command *command, const struct article *before, struct article_content *content);
/* The slug to try: one that is public may be short; that of a draft always has digits of the id. */
const char *article_new_slug(const struct command *command, struct str title, const char *id, bool public);
/* «{"id":…,"title":…,…,"tags":[…]», to be gone on with. */
void article_content_json(struct buf *buf, const char *id, const struct article_content *content);
struct str article_revision_json(const struct command *command, const char *id, int64_t revision);
/* slug: the one that it is given by this, or NULL. */
struct str article_published_json(const struct command *command, const char *id, const char *slug);
struct str article_id_json(const struct command *command, const char *id);
/* article.updated and article.revision_created. */
int article_revise(const struct article *article, const struct article_content *content, const struct command *command,
                   struct decision *decision, struct err *err);
/* ERR_ABSENT for who may not see the article, ERR_GONE once it is deleted, ERR_DENIED for who may not change it. */
int article_may_edit(const void *state, const struct command *command, struct err *err);
int article_may_delete(const void *state, const struct command *command, struct err *err);

#endif
