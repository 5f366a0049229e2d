/*
 * Lists of articles.
 *
 * What a reader may see is one or two ranges of an index, each of one status: what is published, and drafts, of which
 * most readers have only their own. Both are read newest first and only as far as the page goes, and joined. A list by
 * tag reads the index of articles_tags, a search that of articles_search; drafts, which are not in the latter, are
 * looked through as far as they are the reader's.
 *
 * Statements are put together from the pieces below; values never are.
 */
#include "base/slug.h"
#include "domain/article_query.h"
#include "domain/article_sql.h"

#include <stdlib.h>
#include <string.h>

enum { ARGS_MOST = 64 };

struct query {
    struct arena *arena;
    struct buf text;
    size_t count;
    struct sql_arg args[ARGS_MOST];
    const struct article_filter *filter;
    const char *words[WORDS_MOST];
    size_t word_count;
};

static void add(struct query *query, const char *text, struct sql_arg arg)
{
    buf_puts(&query->text, text);
    query->args[query->count++] = arg;
}

/* «+word* +word*»: every word, or one that begins so. */
static const char *match_of(const struct query *query)
{
    struct buf buf;
    buf_init(&buf, query->arena);
    for (size_t i = 0; i < query->word_count; i++) {
        buf_puts(&buf, i > 0 ? " +" : "+");
        buf_puts(&buf, query->words[i]);
        buf_puts(&buf, "*");
    }
    buf_add(&buf, "", 1);
    return buf.failed ? "" : buf.data;
}

static void add_words(struct query *query)
{
    for (size_t i = 0; i < query->word_count; i++)
        add(query, " AND LOCATE(?, CONCAT_WS(' ', a.title, a.lead, a.content) COLLATE utf8mb4_unicode_520_ci) > 0",
            SQL_TEXT(query->words[i]));
}

/* What is published and has the words. */
static void add_search(struct query *query, const char *author)
{
    const struct article_filter *filter = query->filter;
    add(query,
        "SELECT s.id FROM articles_search AS s JOIN articles AS a ON a.id = s.id WHERE MATCH (s.title, s.lead, "
        "s.content) AGAINST (? IN BOOLEAN MODE)",
        SQL_TEXT(match_of(query)));
    if (author != NULL)
        add(query, " AND a.author_id = ?", SQL_TEXT(author));
    if (filter->tag != NULL)
        add(query, " AND EXISTS (SELECT 1 FROM articles_tags AS t WHERE t.id = s.id AND t.tag = ?)",
            SQL_TEXT(filter->tag));
    add(query, " AND s.id < ?", SQL_TEXT(filter->before));
    add(query, " ORDER BY s.id DESC LIMIT ?", SQL_INT(filter->limit + 1));
}

static void add_tagged(struct query *query, const char *status, const char *author)
{
    const struct article_filter *filter = query->filter;
    bool has_words = query->word_count > 0;
    buf_printf(&query->text, "SELECT t.id FROM articles_tags AS t FORCE INDEX (%s)%s",
               author != NULL ? "by_tag_author" : "by_tag", has_words ? " JOIN articles AS a ON a.id = t.id" : "");
    add(query, " WHERE t.tag = ?", SQL_TEXT(filter->tag));
    if (author != NULL)
        add(query, " AND t.author_id = ?", SQL_TEXT(author));
    add(query, " AND t.status = ?", SQL_TEXT(status));
    add_words(query);
    add(query, " AND t.id < ?", SQL_TEXT(filter->before));
    add(query, " ORDER BY t.id DESC LIMIT ?", SQL_INT(filter->limit + 1));
}

static void add_plain(struct query *query, const char *status, const char *author)
{
    const struct article_filter *filter = query->filter;
    buf_printf(&query->text, "SELECT a.id FROM articles AS a FORCE INDEX (%s)",
               author != NULL ? "by_author_status" : "published");
    add(query, " WHERE a.status = ?", SQL_TEXT(status));
    if (author != NULL)
        add(query, " AND a.author_id = ?", SQL_TEXT(author));
    add_words(query);
    add(query, " AND a.id < ?", SQL_TEXT(filter->before));
    add(query, " ORDER BY a.id DESC LIMIT ?", SQL_INT(filter->limit + 1));
}

/* A range of one status; author NULL: of all authors. */
static void add_range(struct query *query, const char *status, const char *author)
{
    buf_puts(&query->text, query->text.data[query->text.len - 1] == ')' ? " UNION ALL (" : "(");
    if (query->word_count > 0 && strcmp(status, "published") == 0)
        add_search(query, author);
    else if (query->filter->tag != NULL)
        add_tagged(query, status, author);
    else
        add_plain(query, status, author);
    buf_puts(&query->text, ")");
}

/* Whose drafts the reader may see among those that are asked for: false none, true those of *author, NULL everybody's.
 */
static bool drafts_of(const struct actor *reader, const struct article_filter *filter, const char **author)
{
    *author = filter->author;
    if (actor_may(reader, "article_edit_any"))
        return true;
    if (reader->user_id == NULL || (filter->author != NULL && strcmp(filter->author, reader->user_id) != 0))
        return false;
    *author = reader->user_id;
    return true;
}

/* The whole statement; false where there can be nothing. */
static bool compose(struct query *query, const struct actor *reader)
{
    const struct article_filter *filter = query->filter;
    const char *author;
    bool drafts =
        (filter->status == NULL || strcmp(filter->status, "draft") == 0) && drafts_of(reader, filter, &author);
    bool published = filter->status == NULL || strcmp(filter->status, "published") == 0;
    buf_init(&query->text, query->arena);
    buf_puts(&query->text, POSITION_FIRST "SELECT a.id, a.summary, p FROM (SELECT 1) AS one LEFT JOIN (");
    if (published)
        add_range(query, "published", filter->author);
    if (drafts)
        add_range(query, "draft", author);
    if (!published && !drafts)
        buf_puts(&query->text, "SELECT id FROM articles WHERE FALSE");
    if (published && drafts)
        add(query, " ORDER BY id DESC LIMIT ?", SQL_INT(filter->limit + 1));
    buf_puts(&query->text, ") AS k ON TRUE LEFT JOIN articles AS a ON a.id = k.id; END");
    buf_add(&query->text, "", 1);
    return !query->text.failed;
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct str *)b)->data, ((const struct str *)a)->data);
}

int article_list(struct sql *db, struct arena *arena, const struct actor *reader, const struct article_filter *filter,
                 struct article_page *page, struct err *err)
{
    struct sql_rows rows;
    struct article_filter whole = *filter;
    struct query query = {.arena = arena, .filter = &whole};
    if (whole.before == NULL)
        whole.before = "g"; /* after every id */
    if (filter->search != NULL) {
        size_t count = words_of(arena, filter->search, query.words);
        query.word_count = count < WORDS_MOST ? count : WORDS_MOST;
    }
    if (!compose(&query, reader))
        return fail(err, ERR_INTERNAL, "no room for a query");
    if (sql_select(db, arena, query.text.data, query.args, query.count, &rows, err) != 0)
        return -1;
    *page = (struct article_page){.summaries = arena_alloc(arena, (rows.count + 1) * sizeof *page->summaries)};
    if (page->summaries == NULL || rows.count == 0)
        return fail(err, ERR_INTERNAL, "no room for %zu articles", rows.count);
    page->position = sql_number(SQL_CELL(&rows, 0, 2));
    page->more = rows.count > filter->limit;
    if (SQL_CELL(&rows, 0, 0).data == NULL)
        return 0;
    qsort(rows.cells, rows.count, rows.columns * sizeof *rows.cells, newest_first);
    for (size_t i = 0; i < rows.count && i < filter->limit; i++) {
        page->last = SQL_CELL(&rows, i, 0).data;
        page->summaries[page->count++] = SQL_CELL(&rows, i, 1);
    }
    return 0;
}
