/* Comparing a shadow with its table. See rebuild.h. */
#include "events/rebuild_internal.h"
#include "events/sides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, LAG_MOST = 100000 };

/* One page of a table's rows after a key. */
struct page {
    const char *text;
    struct sql_rows found;
    size_t at;
    void *state;
};

struct comparison {
    struct rebuild *r;
    const struct read_model *rows;
    struct rebuild_result *result;
    struct arena *pages;
    char key[64];
    const char **moved; /* sorted: what has events that the shadow has not */
    size_t moved_count;
    struct side_rows sides[SIDES_MOST]; /* of the shadow's rows of these pages */
};

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The events between the shadow and the snapshot: what they touch is compared under the lock, later. */
static int find_moved(struct comparison *c, struct err *err)
{
    struct event_list list;
    struct touched_list touched;
    struct log_head head;
    struct rebuild *r = c->r;
    if (eventlog_head(r->db, r->arena, &head, err) != 0 ||
        eventlog_read(r->db, r->arena, r->position, LAG_MOST, &list, err) != 0)
        return -1;
    if (r->position + (int64_t)list.count < head.position)
        return fail(err, ERR_UNAVAILABLE, "the log runs ahead of the rebuild: try again when less is written");
    if (touched_find(r->model, r->arena, &list, &touched, err) != 0)
        return -1;
    c->moved = arena_alloc(r->arena, (touched.count + 1) * sizeof *c->moved);
    if (c->moved == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room to compare");
    for (size_t i = 0; i < touched.count; i++)
        if (touched.items[i].rows == c->rows)
            c->moved[c->moved_count++] = touched.items[i].id;
    qsort(c->moved, c->moved_count, sizeof *c->moved, by_id);
    return 0;
}

static bool has_moved(const struct comparison *c, const char *id)
{
    return bsearch(&id, c->moved, c->moved_count, sizeof *c->moved, by_id) != NULL;
}

static int read_page(struct comparison *c, struct page *page, struct err *err)
{
    page->at = 0;
    return sql_select(c->r->db, c->pages, page->text, SQL_ARGS(SQL_TEXT(c->key), SQL_INT(PAGE)), &page->found, err);
}

static const char *key_at(const struct page *page)
{
    return page->at < page->found.count ? SQL_CELL(&page->found, page->at, 0).data : NULL;
}

/* The state at the page's place when its key is this one, and the step past it; NULL otherwise. */
static const void *take(const struct comparison *c, struct page *page, const char *key)
{
    const char *there = key_at(page);
    if (there == NULL || strcmp(there, key) != 0)
        return NULL;
    row_state(c->rows, &page->found, page->at++, page->state);
    return page->state;
}

/* A merge of two pages up to where one of them ends, if there is more of it behind. */
static void merge(struct comparison *c, struct page *table, struct page *shadow)
{
    for (;;) {
        const char *a = key_at(table), *b = key_at(shadow);
        if ((a == NULL && (b == NULL || table->found.count == PAGE)) || (b == NULL && shadow->found.count == PAGE))
            return;
        const char *key = a == NULL || (b != NULL && strcmp(b, a) < 0) ? b : a;
        const void *there = take(c, table, key), *folded = take(c, shadow, key);
        for (size_t s = 0; s < c->rows->side_count && folded != NULL; s++)
            c->rows->sides[s].rows(folded, &c->sides[s]);
        snprintf(c->key, sizeof c->key, "%s", key);
        if (has_moved(c, key))
            continue;
        c->result->rows++;
        rebuild_compare_rows(c->result, c->rows, key, there, folded);
    }
}

/* The table's sides beside those of the shadow's rows, for the ids after one and up to another. */
static int compare_sides(struct comparison *c, const char *after, const char *upto, struct err *err)
{
    char what[128];
    for (size_t s = 0; s < c->rows->side_count; s++) {
        const struct side *side = &c->rows->sides[s];
        struct side_rows there;
        const char *last = "";
        if (c->sides[s].failed)
            return fail(err, ERR_UNAVAILABLE, "no room to compare");
        if (sides_range(c->r->db, c->pages, side, after, upto, &there, err) != 0)
            return -1;
        side_rows_sort(&c->sides[s]);
        snprintf(what, sizeof what, "its rows in %s are not what the log says", side->name);
        size_t i = 0, j = 0;
        for (const char *id; (id = side_rows_difference(&c->sides[s], &there, &i, &j)) != NULL; last = id)
            if (strcmp(id, last) != 0 && !has_moved(c, id))
                rebuild_differs(c->result, c->rows, id, what);
    }
    return 0;
}

static int compare_all(struct comparison *c, struct err *err)
{
    static const char *const REST = "WHERE id > ? ORDER BY id LIMIT ?";
    struct arena *arena = c->r->arena;
    const char *name = arena_printf(arena, "rebuild_%s", c->rows->name);
    struct page table = {.text = row_select(c->rows, arena, c->rows->name, REST),
                         .state = arena_alloc(arena, c->rows->state_size)},
                shadow = {.text = name != NULL ? row_select(c->rows, arena, name, REST) : NULL,
                          .state = arena_alloc(arena, c->rows->state_size)};
    if (table.text == NULL || shadow.text == NULL || table.state == NULL || shadow.state == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room to compare");
    do {
        char after[sizeof c->key];
        memcpy(after, c->key, sizeof after);
        arena_reset(c->pages);
        for (size_t s = 0; s < c->rows->side_count; s++)
            c->sides[s] = (struct side_rows){.arena = c->pages, .columns = c->rows->sides[s].column_count};
        if (read_page(c, &table, err) != 0 || read_page(c, &shadow, err) != 0)
            return -1;
        bool last = table.found.count < PAGE && shadow.found.count < PAGE;
        merge(c, &table, &shadow);
        if (compare_sides(c, after, last ? "g" : c->key, err) != 0)
            return -1;
    } while (table.found.count == PAGE || shadow.found.count == PAGE);
    return 0;
}

int rebuild_compare(struct rebuild *r, const struct read_model *rows, struct rebuild_result *result, struct err *err)
{
    struct comparison c = {.r = r, .rows = rows, .result = result, .pages = arena_new(512 * 1024 * 1024)};
    *result = (struct rebuild_result){0};
    arena_reset(r->arena);
    if (c.pages == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    int status = sql_begin_snapshot(r->db, err);
    if (status == 0)
        status = find_moved(&c, err) != 0 ? -1 : compare_all(&c, err);
    sql_rollback(r->db);
    arena_free(&c.pages);
    return status;
}
