/* See sides.h. */
#include "events/sides.h"

#include "events/late_keys.h"

#include <stdio.h>
#include <string.h>

/* Ids of one statement. A shorter list repeats its last one, so that there is one statement for all. */
enum { AT_ONCE = 64, PAGE = 500, PAGE_LIMIT = 128 * 1024 * 1024 };

static int no_room(struct err *err)
{
    return fail(err, ERR_UNAVAILABLE, "no room for a statement");
}

static int insert_rows(struct sql *db, struct arena *arena, const struct side *side, const char *prefix,
                       const struct side_rows *made, struct err *err)
{
    const char *insert = arena_printf(arena, "INSERT INTO %s%s (%s) VALUES", prefix, side->name, side->columns);
    struct sql_arg *values = arena_alloc(arena, (made->count * made->columns + 1) * sizeof *values);
    if (insert == NULL || values == NULL || made->failed)
        return no_room(err);
    for (size_t i = 0; i < made->count * made->columns; i++)
        values[i] = SQL_STR(made->cells[i]);
    return sql_insert(db, arena, insert, values, made->columns, made->count, err);
}

static struct side_rows no_rows(struct arena *arena, const struct side *side)
{
    return (struct side_rows){.arena = arena, .columns = side->column_count};
}

int sides_write(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                const struct touched_list *list, struct err *err)
{
    for (size_t s = 0; s < rows->side_count; s++) {
        const struct side *side = &rows->sides[s];
        struct side_rows made = no_rows(arena, side);
        for (size_t i = 0; i < list->count; i++)
            if (list->items[i].rows == rows)
                side->rows(list->items[i].state, &made);
        if (touched_delete(db, arena, rows, prefix, side->name, list, err) != 0 ||
            insert_rows(db, arena, side, prefix, &made, err) != 0)
            return -1;
    }
    return 0;
}

static int script(struct sql *db, const char *text, struct err *err)
{
    return text != NULL ? sql_script(db, text, strlen(text), err) : no_room(err);
}

/* The sides of a page of the shadow, behind a key, which becomes the last one's. got: how many rows it has. */
static int fill_page(struct sql *db, struct arena *arena, const struct read_model *rows, const char *text, size_t count,
                     char key[64], size_t *got, struct err *err)
{
    struct sql_rows found;
    if (sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(key), SQL_INT(count)), &found, err) != 0)
        return -1;
    void *state = arena_alloc(arena, rows->state_size);
    if (state == NULL)
        return no_room(err);
    for (size_t s = 0; s < rows->side_count; s++) {
        struct side_rows made = no_rows(arena, &rows->sides[s]);
        for (size_t i = 0; i < found.count; i++) {
            row_state(rows, &found, i, state);
            rows->sides[s].rows(state, &made);
        }
        if (insert_rows(db, arena, &rows->sides[s], "zrebuild_", &made, err) != 0)
            return -1;
    }
    if (sql_commit(db, err) != 0)
        return -1;
    *got = found.count;
    if (found.count > 0)
        snprintf(key, 64, "%s", SQL_CELL(&found, found.count - 1, 0).data);
    return 0;
}

/* Page by page, each a transaction, of as many rows as there is memory for. */
static int fill(struct sql *db, struct arena *arena, const struct read_model *rows, struct err *err)
{
    char key[64] = "";
    const char *table = arena_printf(arena, "zrebuild_%s", rows->name);
    const char *text =
        table != NULL ? row_select(rows, arena, table, "FORCE INDEX (PRIMARY) WHERE id > ? ORDER BY id LIMIT ?") : NULL;
    struct arena *page = arena_new(PAGE_LIMIT);
    int status = text == NULL || page == NULL ? no_room(err) : 0;
    for (size_t count = PAGE, got = PAGE; status == 0 && got > 0 && rows->side_count > 0;) {
        arena_reset(page);
        status = sql_begin(db, err);
        if (status == 0)
            status = fill_page(db, page, rows, text, count, key, &got, err);
        if (status == 0) {
            count = count + count / 8 + 1 < PAGE ? count + count / 8 + 1 : PAGE;
            continue;
        }
        sql_rollback(db);
        if (arena_exhausted(page) && count > 1) {
            count /= 2;
            status = 0;
        }
    }
    arena_free(&page);
    return status;
}

int sides_make(struct sql *db, struct arena *arena, const struct read_model *rows, struct err *err)
{
    for (size_t i = 0; i < rows->side_count; i++) {
        const char *name = rows->sides[i].name;
        if (script(db,
                   arena_printf(arena, "DROP TABLE IF EXISTS zrebuild_%s; CREATE TABLE zrebuild_%s LIKE %s", name, name,
                                name),
                   err) != 0 ||
            late_keys_drop(db, arena, name, err) != 0)
            return -1;
    }
    if (fill(db, arena, rows, err) != 0)
        return -1;
    for (size_t i = 0; i < rows->side_count; i++)
        if (late_keys_make(db, arena, rows->sides[i].name, err) != 0)
            return -1;
    return 0;
}

/* The first id of which a side has other rows than these states say. */
static int check_some(struct sql *db, struct arena *arena, const struct side *side, const void *const *states,
                      const char *const *ids, size_t count, const char **different, struct err *err)
{
    struct sql_arg args[AT_ONCE];
    struct sql_rows found;
    struct side_rows made = no_rows(arena, side);
    size_t i = 0, j = 0;
    const char *places = sql_places(arena, AT_ONCE);
    const char *text = places != NULL
                           ? arena_printf(arena, "SELECT %s FROM %s WHERE id IN %s", side->columns, side->name, places)
                           : NULL;
    for (size_t k = 0; k < AT_ONCE; k++)
        args[k] = SQL_TEXT(ids[k < count ? k : count - 1]);
    for (size_t k = 0; k < count; k++)
        side->rows(states[k], &made);
    if (text == NULL || made.failed)
        return no_room(err);
    if (sql_select(db, arena, text, args, AT_ONCE, &found, err) != 0)
        return -1;
    struct side_rows there = side_rows_of(arena, &found);
    side_rows_sort(&made);
    side_rows_sort(&there);
    *different = side_rows_difference(&made, &there, &i, &j);
    return 0;
}

int sides_check(struct sql *db, struct arena *arena, const struct read_model *rows, const void *const *states,
                const char *const *ids, size_t count, struct sides_difference *found, struct err *err)
{
    *found = (struct sides_difference){0};
    for (size_t s = 0; s < rows->side_count; s++)
        for (size_t from = 0; from < count; from += AT_ONCE) {
            size_t some = count - from < AT_ONCE ? count - from : AT_ONCE;
            if (check_some(db, arena, &rows->sides[s], states + from, ids + from, some, &found->id, err) != 0)
                return -1;
            found->side = &rows->sides[s];
            if (found->id != NULL)
                return 0;
        }
    return 0;
}

int sides_range(struct sql *db, struct arena *arena, const struct side *side, const char *after, const char *upto,
                struct side_rows *there, struct err *err)
{
    struct sql_rows found;
    const char *text = arena_printf(arena, "SELECT %s FROM %s WHERE id %s ? AND id <= ?", side->columns, side->name,
                                    after[0] == '\0' ? ">=" : ">");
    if (text == NULL)
        return no_room(err);
    if (sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(after), SQL_TEXT(upto)), &found, err) != 0)
        return -1;
    *there = side_rows_of(arena, &found);
    side_rows_sort(there);
    return 0;
}
