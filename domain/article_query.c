/*
 * Reading articles.
 *
 * Each query takes the log's position first and reads the table after it, in one round trip: what it then finds has in
 * it at least everything up to that position, so that a stream from there on misses nothing. Drafts are visible to
 * their author and to article_edit_any, to nobody else.
 */
#include "domain/article.h"
#include "domain/model.h"
#include "events/fold.h"

#include <string.h>

#define POSITION_FIRST                                                                                                 \
    "BEGIN NOT ATOMIC DECLARE p BIGINT UNSIGNED DEFAULT (SELECT position FROM log_head WHERE one = 1); "
/* As the columns of ARTICLES; a list leaves the content out. */
#define COLUMNS(content)                                                                                               \
    "id, author_id, author_name, status, title, subtitle, lead, " content ", tags, version, revision, created_at, "    \
    "updated_at, published_at"
#define SHORT COLUMNS("'' AS content")
/* One row with the position alone where there are no articles. */
#define PAGE(inner)                                                                                                    \
    POSITION_FIRST                                                                                                     \
    "SELECT a.*, p FROM (SELECT 1) AS one LEFT JOIN (" inner ") AS a ON TRUE ORDER BY a.id DESC; END"

static const char *const ONE =
    POSITION_FIRST "SELECT " COLUMNS("content") ", p FROM (SELECT 1) AS one LEFT JOIN articles AS a ON a.id = ?; END";
static const char *const ALL = PAGE("SELECT " SHORT " FROM articles WHERE id < ? ORDER BY id DESC LIMIT ?");
static const char *const PUBLIC =
    PAGE("SELECT " SHORT " FROM articles WHERE status = 'published' AND id < ? ORDER BY id DESC LIMIT ?");
static const char *const OWN = PAGE(
    "(SELECT " SHORT " FROM articles WHERE status = 'published' AND id < ? ORDER BY id DESC LIMIT ?) UNION ALL "
    "(SELECT " SHORT " FROM articles WHERE author_id = ? AND status = 'draft' AND id < ? ORDER BY id DESC LIMIT ?) "
    "ORDER BY id DESC LIMIT ?");

static int absent(struct err *err)
{
    return fail(err, ERR_ABSENT, "There is no such article.");
}

int article_find(struct sql *db, struct arena *arena, const struct actor *reader, const char *id,
                 struct article *article, int64_t *position, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(db, arena, ONE, SQL_ARGS(SQL_TEXT(id_valid(id, strlen(id)) ? id : "")), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_INTERNAL, "an article's query gave %zu rows", rows.count);
    *position = sql_number(SQL_CELL(&rows, 0, ARTICLES.column_count));
    if (SQL_CELL(&rows, 0, 0).data == NULL)
        return absent(err);
    row_state(&ARTICLES, &rows, 0, article);
    return article_visible(article, reader) ? 0 : absent(err);
}

int article_find_as_of(struct sql *db, struct arena *arena, const struct actor *reader, const char *id, int64_t version,
                       int64_t moment, struct article *article, int64_t *position, struct err *err)
{
    struct article now;
    if (article_find(db, arena, reader, id, &now, position, err) != 0)
        return -1;
    const char *stream = arena_printf(arena, "article-%s", now.id);
    if (stream == NULL)
        return fail(err, ERR_INTERNAL, "no room for an article");
    if (fold_stream(db, &MODEL, arena, stream, version, moment, article, err) != 0)
        return -1;
    if (article->version == 0 || (version != INT64_MAX && article->version != version))
        return fail(err, ERR_ABSENT, "The article was not there yet, or never had this version.");
    return article_visible(article, reader) ? 0 : absent(err);
}

int article_list(struct sql *db, struct arena *arena, const struct actor *reader, const char *before, size_t limit,
                 struct article_page *page, struct err *err)
{
    struct sql_rows rows;
    struct sql_arg below = SQL_TEXT(before != NULL ? before : "g"), most = SQL_INT(limit + 1);
    const struct sql_arg own[] = {below, most, SQL_TEXT(reader->user_id), below, most, most};
    bool is_own = reader->user_id != NULL && !actor_may(reader, "article_edit_any");
    const char *text = is_own ? OWN : actor_may(reader, "article_edit_any") ? ALL : PUBLIC;
    if (sql_select(db, arena, text, own, is_own ? 6 : 2, &rows, err) != 0)
        return -1;
    *page = (struct article_page){.articles = arena_alloc(arena, (rows.count + 1) * sizeof *page->articles)};
    if (page->articles == NULL || rows.count == 0)
        return fail(err, ERR_INTERNAL, "no room for %zu articles", rows.count);
    page->position = sql_number(SQL_CELL(&rows, 0, ARTICLES.column_count));
    page->more = rows.count > limit;
    for (size_t i = 0; i < rows.count && i < limit && SQL_CELL(&rows, i, 0).data != NULL; i++)
        row_state(&ARTICLES, &rows, i, &page->articles[page->count++]);
    return 0;
}
