/*
 * Reading one article, and the feed.
 *
 * Each query learns the log's position first (events/known.h) and reads the table after it: what it then finds has in
 * it at least everything up to that position, so that a stream from there on misses nothing.
 */
#include "domain/article_query.h"

#include "base/clock.h"
#include "base/json.h"
#include "domain/model.h"
#include "events/fold.h"

#include <string.h>

#define VIEW                                                                                                           \
    "SELECT id, author_id, status, version, published_at, updated_at, IF(version = ?, NULL, summary), IF(version = "   \
    "?, NULL, rest) FROM articles WHERE "

enum { OF_ID, OF_AUTHOR, OF_STATUS, OF_VERSION, OF_PUBLISHED, OF_UPDATED, OF_SUMMARY, OF_REST };

static const char *const BY_ID = VIEW "id = ?";
static const char *const BY_SLUG = VIEW "slug = ?";

/* Times of two streams say which was first when they are further apart than clocks differ and commits last. */
enum { APART_US = 60000000 };

/* An article shows its author's name of today, which is no part of its version. */
static bool may_be_renamed(const struct article_view *view)
{
    return view->author.changed > INT64_MIN && view->author.changed > view->updated_at - APART_US;
}

static int absent(struct err *err)
{
    return fail(err, ERR_ABSENT, "There is no such article.");
}

/* Whether the reader may know of it, and whether it is still there. */
static int admit(const struct article *article, const struct actor *reader, struct err *err)
{
    if (!article_visible(article, reader))
        return absent(err);
    return strcmp(article->status, "deleted") != 0 ? 0 : fail(err, ERR_GONE, "The article was deleted.");
}

/* The row, and its id. */
static int look_up(const struct reading *reading, const char *name, int64_t known, struct article_view *view,
                   const char **id, struct err *err)
{
    struct sql_rows rows;
    const struct sql_arg args[] = {SQL_INT(known), SQL_INT(known), SQL_TEXT(name)};
    const char *text = id_valid(name, strlen(name)) ? BY_ID : BY_SLUG;
    view->position = -1;
    if (known_position(reading->known, reading->db, reading->arena, &view->position, err) != 0)
        return -1;
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
        return absent(err); /* neither an id nor a slug */
    if (sql_select(reading->db, reading->arena, text, args, 3, &rows, err) != 0)
        return -1;
    if (rows.count == 0)
        return absent(err);
    *id = SQL_CELL(&rows, 0, OF_ID).data;
    const struct article article = {.author_id = SQL_CELL(&rows, 0, OF_AUTHOR).data,
                                    .status = SQL_CELL(&rows, 0, OF_STATUS).data,
                                    .published_at = SQL_CELL(&rows, 0, OF_PUBLISHED).data != NULL ? 0 : INT64_MIN};
    view->version = sql_number(SQL_CELL(&rows, 0, OF_VERSION));
    view->updated_at = clock_parse(SQL_CELL(&rows, 0, OF_UPDATED).data, SQL_CELL(&rows, 0, OF_UPDATED).len);
    view->summary = SQL_CELL(&rows, 0, OF_SUMMARY);
    view->rest = SQL_CELL(&rows, 0, OF_REST);
    view->author = (struct author){.id = article.author_id};
    if (admit(&article, reading->reader, err) != 0 ||
        names_find(reading->names, reading->db, reading->arena, &view->author, 1, err) != 0)
        return -1;
    view->renamed = may_be_renamed(view);
    if (view->renamed && view->summary.data == NULL && known > 0)
        return look_up(reading, name, 0, view, id, err);
    if (view->summary.data != NULL && view->summary.len == 0)
        return fail(err, ERR_UNAVAILABLE, "article %s has no text to show: courantctl rebuild articles", *id);
    return 0;
}

int article_find(const struct reading *reading, const char *name, int64_t known, struct article_view *view,
                 struct err *err)
{
    const char *id;
    return look_up(reading, name, known, view, &id, err);
}

int article_find_as_of(const struct reading *reading, const char *name, int64_t version, int64_t moment,
                       struct article_view *view, struct err *err)
{
    struct article article;
    const char *id;
    struct arena *arena = reading->arena;
    if (look_up(reading, name, 0, view, &id, err) != 0)
        return -1;
    if (version == view->version || (version == INT64_MAX && view->updated_at <= moment))
        return 0;
    if (version != INT64_MAX && version > view->version)
        return fail(err, ERR_ABSENT, "The article never had this version.");
    const char *stream = arena_printf(arena, "article-%s", id);
    if (stream == NULL)
        return fail(err, ERR_INTERNAL, "no room for an article");
    if (fold_stream(reading->db, &MODEL, arena, stream, version, moment, &article, err) != 0)
        return -1;
    if (article.version == 0 || (version != INT64_MAX && article.version != version))
        return fail(err, ERR_ABSENT, "The article was not there yet, or never had this version.");
    if (admit(&article, reading->reader, err) != 0 || state_derive(&ARTICLES, &article, NULL, arena, err) != 0)
        return -1;
    view->version = article.version;
    view->updated_at = article.updated_at;
    view->renamed = may_be_renamed(view);
    view->summary = article.summary;
    view->rest = article.rest;
    return 0;
}

static const char *const FEED = "SELECT id, slug, (SELECT u.username FROM users AS u WHERE u.id = author_id), title, "
                                "lead, rest, published_at, updated_at FROM articles "
                                "FORCE INDEX (newest) WHERE status = 'published' ORDER BY published_at DESC, id DESC "
                                "LIMIT ?";

int article_feed(const struct reading *reading, struct article_entry entries[ARTICLE_FEED], size_t *count,
                 int64_t *position, struct err *err)
{
    struct sql_rows rows;
    *count = 0;
    if (known_position(reading->known, reading->db, reading->arena, position, err) != 0 ||
        sql_select(reading->db, reading->arena, FEED, SQL_ARGS(SQL_INT(ARTICLE_FEED)), &rows, err) != 0)
        return -1;
    for (; *count < rows.count; (*count)++) {
        size_t i = *count;
        struct str object = str_of(arena_printf(reading->arena, "{%s}", SQL_CELL(&rows, i, 5).data));
        struct str published = SQL_CELL(&rows, i, 6), updated = SQL_CELL(&rows, i, 7);
        if (object.data == NULL)
            return fail(err, ERR_INTERNAL, "no room for the feed");
        entries[i] = (struct article_entry){.id = SQL_CELL(&rows, i, 0).data,
                                            .slug = SQL_CELL(&rows, i, 1).data,
                                            .author = SQL_CELL(&rows, i, 2).data,
                                            .title = SQL_CELL(&rows, i, 3),
                                            .lead = SQL_CELL(&rows, i, 4),
                                            .html = json_text(reading->arena, json_member(object, "html")),
                                            .published_at = clock_parse(published.data, published.len),
                                            .updated_at = clock_parse(updated.data, updated.len)};
    }
    return 0;
}
