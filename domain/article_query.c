/*
 * Reading one article, and the feed.
 *
 * Each query takes the log's position first and reads the table after it, in one round trip: what it then finds has in
 * it at least everything up to that position, so that a stream from there on misses nothing.
 */
#include "domain/article_query.h"

#include "base/clock.h"
#include "base/json.h"
#include "domain/article_sql.h"
#include "domain/model.h"
#include "events/fold.h"

#include <string.h>

#define VIEW                                                                                                           \
    "a.id, a.author_id, a.status, a.version, a.published_at, IF(a.version = ?, NULL, a.summary), IF(a.version = ?, "   \
    "NULL, a.rest), p FROM (SELECT 1) AS one LEFT JOIN articles AS a ON a."

enum { OF_ID, OF_AUTHOR, OF_STATUS, OF_VERSION, OF_PUBLISHED, OF_SUMMARY, OF_REST, OF_POSITION };

static const char *const BY_ID = POSITION_FIRST "SELECT " VIEW "id = ?; END";
static const char *const BY_SLUG = POSITION_FIRST "SELECT " VIEW "slug = ?; END";

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
static int look_up(struct sql *db, struct arena *arena, const struct actor *reader, const char *name, int64_t known,
                   struct article_view *view, const char **id, struct err *err)
{
    struct sql_rows rows;
    const struct sql_arg args[] = {SQL_INT(known), SQL_INT(known), SQL_TEXT(name)};
    const char *text = id_valid(name, strlen(name)) ? BY_ID : BY_SLUG;
    view->position = -1;
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
        return absent(err); /* neither an id nor a slug */
    if (sql_select(db, arena, text, args, 3, &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_INTERNAL, "an article's query gave %zu rows", rows.count);
    view->position = sql_number(SQL_CELL(&rows, 0, OF_POSITION));
    *id = SQL_CELL(&rows, 0, OF_ID).data;
    if (*id == NULL)
        return absent(err);
    const struct article article = {.author_id = SQL_CELL(&rows, 0, OF_AUTHOR).data,
                                    .status = SQL_CELL(&rows, 0, OF_STATUS).data,
                                    .published_at = SQL_CELL(&rows, 0, OF_PUBLISHED).data != NULL ? 0 : INT64_MIN};
    view->version = sql_number(SQL_CELL(&rows, 0, OF_VERSION));
    view->summary = SQL_CELL(&rows, 0, OF_SUMMARY);
    view->rest = SQL_CELL(&rows, 0, OF_REST);
    if (admit(&article, reader, err) != 0)
        return -1;
    if (view->summary.data != NULL && view->summary.len == 0)
        return fail(err, ERR_UNAVAILABLE, "article %s has no text to show: courantctl rebuild articles", *id);
    return 0;
}

int article_find(struct sql *db, struct arena *arena, const struct actor *reader, const char *name, int64_t known,
                 struct article_view *view, struct err *err)
{
    const char *id;
    return look_up(db, arena, reader, name, known, view, &id, err);
}

int article_find_as_of(struct sql *db, struct arena *arena, const struct actor *reader, const char *name,
                       int64_t version, int64_t moment, struct article_view *view, struct err *err)
{
    struct article article;
    const char *id;
    if (look_up(db, arena, reader, name, 0, view, &id, err) != 0)
        return -1;
    const char *stream = arena_printf(arena, "article-%s", id);
    if (stream == NULL)
        return fail(err, ERR_INTERNAL, "no room for an article");
    if (fold_stream(db, &MODEL, arena, stream, version, moment, &article, err) != 0)
        return -1;
    if (article.version == 0 || (version != INT64_MAX && article.version != version))
        return fail(err, ERR_ABSENT, "The article was not there yet, or never had this version.");
    if (admit(&article, reader, err) != 0 || state_derive(&ARTICLES, &article, arena, err) != 0)
        return -1;
    view->version = article.version;
    view->summary = article.summary;
    view->rest = article.rest;
    return 0;
}

static const char *const FEED =
    POSITION_FIRST "SELECT a.id, a.slug, a.author_name, a.title, a.lead, a.rest, a.published_at, a.updated_at, p FROM "
                   "(SELECT 1) AS one LEFT JOIN (SELECT id FROM articles FORCE INDEX (newest) WHERE status = "
                   "'published' ORDER BY published_at DESC, id DESC LIMIT ?) AS k ON TRUE LEFT JOIN articles AS a ON "
                   "a.id = k.id ORDER BY a.published_at DESC, a.id DESC; END";

int article_feed(struct sql *db, struct arena *arena, struct article_entry entries[ARTICLE_FEED], size_t *count,
                 int64_t *position, struct err *err)
{
    struct sql_rows rows;
    *count = 0;
    if (sql_select(db, arena, FEED, SQL_ARGS(SQL_INT(ARTICLE_FEED)), &rows, err) != 0)
        return -1;
    if (rows.count == 0)
        return fail(err, ERR_INTERNAL, "the feed's query gave no rows");
    *position = sql_number(SQL_CELL(&rows, 0, 8));
    for (size_t i = 0; i < rows.count && SQL_CELL(&rows, i, 0).data != NULL; i++) {
        struct str object = str_of(arena_printf(arena, "{%s}", SQL_CELL(&rows, i, 5).data));
        struct str published = SQL_CELL(&rows, i, 6), updated = SQL_CELL(&rows, i, 7);
        if (object.data == NULL)
            return fail(err, ERR_INTERNAL, "no room for the feed");
        entries[(*count)++] = (struct article_entry){.id = SQL_CELL(&rows, i, 0).data,
                                                     .slug = SQL_CELL(&rows, i, 1).data,
                                                     .author = SQL_CELL(&rows, i, 2).data,
                                                     .title = SQL_CELL(&rows, i, 3),
                                                     .lead = SQL_CELL(&rows, i, 4),
                                                     .html = json_text(arena, json_member(object, "html")),
                                                     .published_at = clock_parse(published.data, published.len),
                                                     .updated_at = clock_parse(updated.data, updated.len)};
    }
    return 0;
}
