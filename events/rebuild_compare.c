/* Comparing a shadow with its table. See rebuild.h. */
#include "events/rebuild_internal.h"
#include "events/sides.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, CHUNK = 500, LAG_MOST = 100000, PAGES_LIMIT = 128 * 1024 * 1024 };

/* One page of a table's rows after a key. */
struct page {
    const char *text;
    struct sql_rows found;
    size_t at;
    bool more; /* behind it */
    void *state;
};

struct comparison {
    struct rebuild *r;
    const struct read_model *rows;
    struct rebuild_result *result;
    struct arena *pages, *sides_of_pages;
    size_t page; /* rows of the next ones */
    char key[64];
    const char **moved; /* sorted: what has events that the shadow has not */
    size_t moved_count;
    struct side_rows sides[SIDES_MOST]; /* of the shadow's rows of these pages */
};

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_moved(struct comparison *c, const struct event_list *list, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct envelope *event = &list->events[i];
        if (model_of_stream(c->r->model, event->stream) != c->rows)
            continue;
        const char *id = arena_copy_z(c->r->arena, event->stream + strlen(c->rows->category) + 1);
        if (id == NULL || c->moved_count == LAG_MOST)
            return fail(err, ERR_UNAVAILABLE, "no room to compare");
        c->moved[c->moved_count++] = id;
    }
    return 0;
}

/* The events between the shadow and the snapshot: what they touch is compared under the lock, later. */
static int find_moved(struct comparison *c, struct err *err)
{
    struct event_list list = {.more = true};
    struct log_head head;
    struct rebuild *r = c->r;
    int64_t position = r->position;
    if (eventlog_head(r->db, r->arena, &head, err) != 0)
        return -1;
    c->moved = arena_alloc(r->arena, LAG_MOST * sizeof *c->moved);
    if (c->moved == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room to compare");
    for (; list.more && position - r->position < LAG_MOST; position += (int64_t)list.count) {
        arena_reset(r->texts);
        if (eventlog_read(r->db, r->texts, position, CHUNK, &list, err) != 0 || add_moved(c, &list, err) != 0)
            return -1;
    }
    /* What a snapshot does not show may be there all the same. */
    if (position < head.position && list.count == 0 &&
        eventlog_read(r->shards[0].db, r->texts, position, 1, &list, err) != 0)
        return -1;
    if (position < head.position && list.count == 0)
        return fail(err, ERR_CONFLICT, "position %" PRId64 " is missing from the log", position + 1);
    if (position < head.position)
        return fail(err, ERR_UNAVAILABLE, "the log runs ahead of the rebuild: try again when less is written");
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
    if (sql_select(c->r->db, c->pages, page->text, SQL_ARGS(SQL_TEXT(c->key), SQL_INT(c->page)), &page->found, err) !=
        0)
        return -1;
    page->more = page->found.count == c->page;
    return 0;
}

/* As many rows of both as there is memory for. */
static int read_pages(struct comparison *c, struct page *table, struct page *shadow, struct err *err)
{
    for (;; c->page /= 2) {
        arena_reset(c->pages);
        if (read_page(c, table, err) == 0 && read_page(c, shadow, err) == 0)
            break;
        if (!arena_exhausted(c->pages) || c->page == 1)
            return -1;
    }
    c->page = c->page + c->page / 8 + 1 < PAGE ? c->page + c->page / 8 + 1 : PAGE;
    return 0;
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
        if ((a == NULL && (b == NULL || table->more)) || (b == NULL && shadow->more))
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
        const char *last = NULL;
        if (c->sides[s].failed)
            return fail(err, ERR_UNAVAILABLE, "no room to compare");
        if (sides_range(c->r->db, c->sides_of_pages, side, after, upto, &there, err) != 0)
            return -1;
        side_rows_sort(&c->sides[s]);
        snprintf(what, sizeof what, "its rows in %s are not what the log says", side->name);
        size_t i = 0, j = 0;
        for (const char *id; (id = side_rows_difference(&c->sides[s], &there, &i, &j)) != NULL; last = id)
            if ((last == NULL || strcmp(id, last) != 0) && !has_moved(c, id))
                rebuild_differs(c->result, c->rows, id, what);
    }
    return 0;
}

static int compare_all(struct comparison *c, struct err *err)
{
    static const char *const REST = "WHERE id > ? ORDER BY id LIMIT ?";
    struct arena *arena = c->r->arena;
    const char *name = arena_printf(arena, "zrebuild_%s", c->rows->name);
    struct page table = {.text = row_select(c->rows, arena, c->rows->name, REST),
                         .state = arena_alloc(arena, c->rows->state_size)},
                shadow = {.text = name != NULL ? row_select(c->rows, arena, name, REST) : NULL,
                          .state = arena_alloc(arena, c->rows->state_size)};
    if (table.text == NULL || shadow.text == NULL || table.state == NULL || shadow.state == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room to compare");
    do {
        char after[sizeof c->key];
        memcpy(after, c->key, sizeof after);
        arena_reset(c->sides_of_pages);
        for (size_t s = 0; s < c->rows->side_count; s++)
            c->sides[s] = (struct side_rows){.arena = c->sides_of_pages, .columns = c->rows->sides[s].column_count};
        if (read_pages(c, &table, &shadow, err) != 0)
            return -1;
        bool last = !table.more && !shadow.more;
        merge(c, &table, &shadow);
        if (compare_sides(c, after, last ? "~~" : c->key, err) != 0) /* after all that an id may be */
            return -1;
    } while (table.more || shadow.more);
    return 0;
}

int rebuild_compare(struct rebuild *r, const struct read_model *rows, struct rebuild_result *result, struct err *err)
{
    struct comparison c = {.r = r,
                           .rows = rows,
                           .result = result,
                           .pages = arena_new(PAGES_LIMIT),
                           .sides_of_pages = arena_new(PAGES_LIMIT),
                           .page = PAGE};
    *result = (struct rebuild_result){0};
    arena_reset(r->arena);
    int status = c.pages != NULL && c.sides_of_pages != NULL ? sql_begin_snapshot(r->db, err)
                                                             : fail(err, ERR_UNAVAILABLE, "no memory");
    if (status == 0)
        status = find_moved(&c, err) != 0 ? -1 : compare_all(&c, err);
    sql_rollback(r->db);
    arena_free(&c.sides_of_pages);
    arena_free(&c.pages);
    return status;
}
