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
#include "base/words.h"
#include "domain/article_query.h"

#include <stdlib.h>
#include <string.h>

enum { ARGS_MOST = 64 };

#define SEARCH_MOST_S "3"

struct query {
    struct arena *arena;
    struct buf text;
    const char *columns; /* beside the id */
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

/* Every word, or one that begins so. */
static const char *match_of(const struct query *query)
{
    struct buf buf;
    buf_init(&buf, query->arena);
    for (size_t i = 0; i < query->word_count; i++) {
        buf_puts(&buf, i > 0 ? " " : "");
        words_match(&buf, query->words[i]);
    }
    buf_add(&buf, "", 1);
    return buf.failed ? "" : buf.data;
}

static void add_words(struct query *query)
{
    for (size_t i = 0; i < query->word_count; i++)
        add(query, " AND CONCAT_WS(' ', a.title, a.lead, a.content) COLLATE utf8mb4_unicode_520_ci LIKE ?",
            SQL_TEXT(arena_printf(query->arena, "%%%s%%", query->words[i])));
}

/* What is published and has the words. */
static void add_search(struct query *query, const char *author)
{
    const struct article_filter *filter = query->filter;
    buf_printf(&query->text, "SELECT s.id%s", query->columns);
    add(query,
        " FROM articles_search AS s JOIN articles AS a ON a.id = s.id WHERE MATCH (s.title, s.lead, "
        "s.content, s.extra) AGAINST (? IN BOOLEAN MODE)",
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
    bool joins = query->word_count > 0 || query->columns[0] != '\0';
    buf_printf(&query->text, "SELECT t.id%s FROM articles_tags AS t FORCE INDEX (%s)%s", query->columns,
               author != NULL ? "by_tag_author" : "by_tag", joins ? " JOIN articles AS a ON a.id = t.id" : "");
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
    buf_printf(&query->text, "SELECT a.id%s FROM articles AS a FORCE INDEX (%s)", query->columns,
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
    if (query->word_count > 0 && strcmp(status, "published") == 0)
        add_search(query, author);
    else if (query->filter->tag != NULL)
        add_tagged(query, status, author);
    else
        add_plain(query, status, author);
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

/* Of two ranges only the ids are joined, and the rows read after that: what is joined goes through a temporary table.
 */
static void add_two_ranges(struct query *query, const char *drafts_author)
{
    buf_puts(&query->text, "SELECT a.id, a.summary, a.author_id FROM ((");
    add_range(query, "published", query->filter->author);
    buf_puts(&query->text, ") UNION ALL (");
    add_range(query, "draft", drafts_author);
    add(query, ") ORDER BY id DESC LIMIT ?) AS k JOIN articles AS a ON a.id = k.id", SQL_INT(query->filter->limit + 1));
}

/* The whole statement; false where there can be nothing. */
static bool compose(struct query *query, const struct actor *reader)
{
    const struct article_filter *filter = query->filter;
    const char *author = NULL;
    bool drafts =
        (filter->status == NULL || strcmp(filter->status, "draft") == 0) && drafts_of(reader, filter, &author);
    bool published = filter->status == NULL || strcmp(filter->status, "published") == 0;
    buf_init(&query->text, query->arena);
    /* What a search costs grows with the articles that have its words. */
    if (query->word_count > 0)
        buf_puts(&query->text, "SET STATEMENT max_statement_time = " SEARCH_MOST_S " FOR ");
    query->columns = published && drafts ? "" : ", a.summary, a.author_id";
    if (published && drafts)
        add_two_ranges(query, author);
    else if (published || drafts)
        add_range(query, published ? "published" : "draft", published ? filter->author : author);
    buf_add(&query->text, "", 1);
    return published || drafts;
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct str *)b)->data, ((const struct str *)a)->data);
}

int article_list(const struct reading *reading, const struct article_filter *filter, struct article_page *page,
                 struct err *err)
{
    struct sql_rows rows = {0};
    struct arena *arena = reading->arena;
    struct article_filter whole = *filter;
    struct query query = {.arena = arena, .filter = &whole};
    if (whole.before == NULL)
        whole.before = "g"; /* after every id */
    if (filter->search != NULL) {
        size_t count = words_of(arena, filter->search, query.words);
        query.word_count = count < WORDS_MOST ? count : WORDS_MOST;
    }
    *page = (struct article_page){0};
    if (known_position(reading->known, reading->db, arena, &page->position, err) != 0 ||
        (compose(&query, reading->reader) &&
         sql_select(reading->db, arena, query.text.data, query.args, query.count, &rows, err) != 0))
        return -1;
    page->summaries = arena_alloc(arena, (rows.count + 1) * sizeof *page->summaries);
    page->authors = arena_alloc(arena, (rows.count + 1) * sizeof *page->authors);
    if (page->summaries == NULL || page->authors == NULL || query.text.failed)
        return fail(err, ERR_INTERNAL, "no room for %zu articles", rows.count);
    page->more = rows.count > filter->limit;
    if (rows.count > 1)
        qsort(rows.cells, rows.count, rows.columns * sizeof *rows.cells, newest_first);
    for (size_t i = 0; i < rows.count && i < filter->limit; i++) {
        page->last = SQL_CELL(&rows, i, 0).data;
        page->authors[page->count] = (struct author){.id = SQL_CELL(&rows, i, 2).data};
        page->summaries[page->count++] = SQL_CELL(&rows, i, 1);
    }
    return names_find(reading->names, reading->db, arena, page->authors, page->count, err);
}
