/* See rederive.h. */
#include "events/rederive.h"

#include "events/fold.h"
#include "events/touched.h"

#include <stdio.h>
#include <string.h>

enum { PAGE = 64, TRIES = 8, ARENA_LIMIT = 128 * 1024 * 1024 };

/* A row that is in the log is what the log says; another one is what it is. */
static int take_state(struct sql *db, struct arena *arena, const struct model *model, struct touched *item,
                      struct err *err)
{
    struct sql_rows found;
    int64_t version = state_version(item->rows, item->row);
    item->state = item->row;
    item->stream = arena_printf(arena, "%s-%s", item->rows->category, item->id);
    if (item->stream == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for rows");
    if (sql_select(db, arena, "SELECT 1 FROM events WHERE stream = ? AND version = ?",
                   SQL_ARGS(SQL_TEXT(item->stream), SQL_INT(version)), &found, err) != 0)
        return -1;
    if (found.count == 0)
        return 0;
    item->state = arena_alloc(arena, item->rows->state_size);
    if (item->state == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for rows");
    return fold_stream(db, model, arena, item->stream, version, INT64_MAX, item->state, err);
}

/* The rows of these ids, as the states that they are to be. */
static int load(struct sql *db, struct arena *arena, const struct model *model, const struct read_model *rows,
                const struct sql_rows *ids, struct touched_list *list, struct err *err)
{
    *list = (struct touched_list){.count = ids->count,
                                  .items = arena_alloc(arena, (ids->count + 1) * sizeof *list->items)};
    if (list->items == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for rows");
    for (size_t i = 0; i < ids->count; i++)
        list->items[i] = (struct touched){.id = SQL_CELL(ids, i, 0).data, .rows = rows};
    if (touched_load(db, arena, model, "", NULL, list, err) != 0)
        return -1;
    for (size_t i = 0; i < list->count; i++)
        if (take_state(db, arena, model, &list->items[i], err) != 0)
            return -1;
    return touched_keys(db, arena, model, list, err);
}

/* One page after a key, which becomes its last one. */
static int derive_page(struct sql *db, struct arena *arena, const struct model *model, const struct read_model *rows,
                       size_t page, char key[64], size_t *got, struct err *err)
{
    struct sql_rows ids;
    struct touched_list list;
    const char *text =
        arena_printf(arena, "SELECT id FROM %s WHERE id > ? ORDER BY id LIMIT ? FOR UPDATE", rows->name);
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    if (sql_begin(db, err) != 0 ||
        sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(key), SQL_INT((int64_t)page)), &ids, err) != 0 ||
        load(db, arena, model, rows, &ids, &list, err) != 0 ||
        touched_write(db, arena, model, "", true, &list, err) != 0 || sql_commit(db, err) != 0)
        return -1;
    *got = ids.count;
    if (ids.count > 0)
        snprintf(key, 64, "%s", SQL_CELL(&ids, ids.count - 1, 0).data);
    return 0;
}

int rederive(struct sql *db, const struct model *model, const struct read_model *rows, int64_t *count, struct err *err)
{
    char key[64] = "";
    size_t got = 1, page = PAGE, tries = 0;
    struct arena *arena = arena_new(ARENA_LIMIT);
    int status = arena != NULL ? 0 : fail(err, ERR_UNAVAILABLE, "no memory");
    *count = 0;
    while (status == 0 && got > 0) {
        arena_reset(arena);
        if (derive_page(db, arena, model, rows, page, key, &got, err) == 0) {
            *count += (int64_t)got;
            tries = 0;
            continue;
        }
        sql_rollback(db);
        /* Large rows: fewer of them at once. A command that held a row: once more. */
        if (arena_exhausted(arena) && page > 1)
            page /= 2;
        else if (err->kind != ERR_TRANSIENT || ++tries == TRIES)
            status = -1;
    }
    arena_free(&arena);
    return status;
}
