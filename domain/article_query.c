/*
 * Reading articles.
 *
 * Each query takes the log's position first and reads the table after it, in one round trip: what it then finds has in
 * it at least everything up to that position, so that a stream from there on misses nothing. Drafts are visible to
 * their author and to article_edit_any, to nobody else.
 */
#include "base/clock.h"
#include "domain/article.h"

#include <inttypes.h>
#include <string.h>

#define POSITION_FIRST                                                                                                 \
    "BEGIN NOT ATOMIC DECLARE p BIGINT UNSIGNED DEFAULT (SELECT position FROM log_head WHERE one = 1); "
#define COLUMNS                                                                                                        \
    "id, author_id, author_name, status, title, subtitle, lead, tags, version, created_at, updated_at, published_at"
/* One row with the position alone where there are no articles. */
#define PAGE(inner)                                                                                                    \
    POSITION_FIRST "SELECT p, a.* FROM (SELECT 1) AS one LEFT JOIN (" inner ") AS a ON TRUE ORDER BY a.id DESC; END"

static const char *const ONE =
    POSITION_FIRST "SELECT p, " COLUMNS ", content FROM (SELECT 1) AS one LEFT JOIN articles AS a ON a.id = ?; END";
static const char *const ALL = PAGE("SELECT " COLUMNS " FROM articles WHERE id < ? ORDER BY id DESC LIMIT ?");
static const char *const PUBLIC =
    PAGE("SELECT " COLUMNS " FROM articles WHERE status = 'published' AND id < ? ORDER BY id DESC LIMIT ?");
static const char *const OWN = PAGE(
    "(SELECT " COLUMNS " FROM articles WHERE status = 'published' AND id < ? ORDER BY id DESC LIMIT ?) UNION ALL "
    "(SELECT " COLUMNS " FROM articles WHERE author_id = ? AND status = 'draft' AND id < ? ORDER BY id DESC LIMIT ?) "
    "ORDER BY id DESC LIMIT ?");

static int64_t moment(struct str cell)
{
    return cell.data != NULL ? clock_parse(cell.data, cell.len) : INT64_MIN;
}

static void take_row(const struct sql_rows *rows, size_t i, struct article *article)
{
    *article = (struct article){.id = SQL_CELL(rows, i, 1).data,
                                .author_id = SQL_CELL(rows, i, 2).data,
                                .author_name = SQL_CELL(rows, i, 3).data,
                                .status = SQL_CELL(rows, i, 4).data,
                                .title = SQL_CELL(rows, i, 5),
                                .subtitle = SQL_CELL(rows, i, 6),
                                .lead = SQL_CELL(rows, i, 7),
                                .tags = SQL_CELL(rows, i, 8),
                                .version = sql_number(SQL_CELL(rows, i, 9)),
                                .created_at = moment(SQL_CELL(rows, i, 10)),
                                .updated_at = moment(SQL_CELL(rows, i, 11)),
                                .published_at = moment(SQL_CELL(rows, i, 12)),
                                .content = rows->columns > 13 ? SQL_CELL(rows, i, 13) : (struct str){NULL, 0}};
}

static bool visible(const struct article *article, const struct actor *reader)
{
    return strcmp(article->status, "published") == 0 || actor_may(reader, "article_edit_any") ||
           (reader->user_id != NULL && strcmp(reader->user_id, article->author_id) == 0);
}

int article_find(struct sql *db, struct arena *arena, const struct actor *reader, const char *id,
                 struct article *article, int64_t *position, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(db, arena, ONE, SQL_ARGS(SQL_TEXT(id_valid(id, strlen(id)) ? id : "")), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_INTERNAL, "an article's query gave %zu rows", rows.count);
    *position = sql_number(SQL_CELL(&rows, 0, 0));
    if (SQL_CELL(&rows, 0, 1).data != NULL) {
        take_row(&rows, 0, article);
        if (visible(article, reader))
            return 0;
    }
    return fail(err, ERR_ABSENT, "There is no such article.");
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
    page->position = sql_number(SQL_CELL(&rows, 0, 0));
    page->more = rows.count > limit;
    for (size_t i = 0; i < rows.count && i < limit && SQL_CELL(&rows, i, 1).data != NULL; i++)
        take_row(&rows, i, &page->articles[page->count++]);
    return 0;
}

static void add_text(struct buf *buf, const char *name, struct str text)
{
    buf_printf(buf, ",\"%s\":", name);
    buf_json(buf, text.data, text.len);
}

static void add_moment(struct buf *buf, const char *name, int64_t moment)
{
    char text[CLOCK_TEXT];
    if (moment == INT64_MIN) {
        buf_printf(buf, ",\"%s\":null", name);
        return;
    }
    clock_rfc3339(moment, text);
    buf_printf(buf, ",\"%s\":\"%s\"", name, text);
}

void article_json(struct buf *buf, const struct article *article, bool with_content)
{
    buf_printf(buf, "{\"id\":\"%s\"", article->id);
    add_text(buf, "title", article->title);
    add_text(buf, "subtitle", article->subtitle);
    add_text(buf, "lead", article->lead);
    if (with_content)
        add_text(buf, "content", article->content);
    buf_puts(buf, ",\"tags\":");
    buf_add(buf, article->tags.data, article->tags.len);
    buf_printf(buf, ",\"author\":{\"id\":\"%s\",\"username\":", article->author_id);
    buf_json_z(buf, article->author_name);
    buf_printf(buf, "},\"status\":\"%s\"", article->status);
    add_moment(buf, "published_at", article->published_at);
    buf_printf(buf, ",\"version\":%" PRId64, article->version);
    add_moment(buf, "created_at", article->created_at);
    add_moment(buf, "updated_at", article->updated_at);
    buf_puts(buf, "}");
}
