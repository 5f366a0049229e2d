/* See sides.h. */
#include "events/sides.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Ids asked for at once. A shorter list repeats its last one, so that there is one statement for all. */
enum { AT_ONCE = 64, FILL = 5000 };

static const char *finished(struct buf *buf)
{
    buf_add(buf, "", 1);
    return buf->failed ? NULL : buf->data;
}

static int no_room(struct err *err)
{
    return fail(err, ERR_UNAVAILABLE, "no room for a statement");
}

/* Runs a statement that ends in a list of AT_ONCE ids, for all of those that are chosen. */
static int run_for(struct sql *db, const char *text, const struct touched_list *list, const struct read_model *rows,
                   bool (*choose)(const struct side *side, const struct touched *item), const struct side *side,
                   struct err *err)
{
    struct sql_arg ids[AT_ONCE];
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].rows == rows && choose(side, &list->items[i]))
            ids[count++] = SQL_TEXT(list->items[i].id);
        if (count == 0 || (count < AT_ONCE && i + 1 < list->count))
            continue;
        for (; count < AT_ONCE; count++)
            ids[count] = ids[0];
        if (sql_exec(db, text, ids, AT_ONCE, NULL, err) != 0)
            return -1;
        count = 0;
    }
    return 0;
}

static bool was_there(const struct side *side, const struct touched *item)
{
    (void)side;
    return item->row != NULL;
}

static bool has_rows(const struct side *side, const struct touched *item)
{
    static const char nothing[sizeof(max_align_t) * 64];
    return item->rows->state_size <= sizeof nothing && side->moved(nothing, item->state);
}

static void side_select(struct buf *buf, const struct side *side, const char *table)
{
    const char *name = strstr(side->select, "%s");
    buf_add(buf, side->select, (size_t)(name - side->select));
    buf_puts(buf, table);
    buf_puts(buf, name + 2);
}

static const char *delete_text(struct arena *arena, const struct side *side, const char *prefix)
{
    const char *places = sql_places(arena, AT_ONCE);
    return places != NULL ? arena_printf(arena, "DELETE FROM %s%s WHERE id IN %s", prefix, side->name, places) : NULL;
}

static const char *insert_text(struct arena *arena, const struct read_model *rows, const struct side *side,
                               const char *prefix, const char *rest)
{
    struct buf buf;
    const char *table = arena_printf(arena, "%s%s", prefix, rows->name);
    if (table == NULL || rest == NULL)
        return NULL;
    buf_init(&buf, arena);
    buf_printf(&buf, "INSERT INTO %s%s (%s) ", prefix, side->name, side->columns);
    side_select(&buf, side, table);
    buf_puts(&buf, rest);
    return finished(&buf);
}

int sides_write(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                const struct touched_list *list, struct err *err)
{
    for (size_t i = 0; i < rows->side_count; i++) {
        const struct side *side = &rows->sides[i];
        const char *places = sql_places(arena, AT_ONCE);
        const char *remove = delete_text(arena, side, prefix);
        const char *insert = insert_text(arena, rows, side, prefix, arena_printf(arena, " IN %s", places));
        if (remove == NULL || insert == NULL)
            return no_room(err);
        if (run_for(db, remove, list, rows, was_there, side, err) != 0 ||
            run_for(db, insert, list, rows, has_rows, side, err) != 0)
            return -1;
    }
    return 0;
}

static int script(struct sql *db, const char *text, struct err *err)
{
    return text != NULL ? sql_script(db, text, strlen(text), err) : no_room(err);
}

/* All rows of the shadow, range by range. */
static int fill(struct sql *db, struct arena *arena, const struct read_model *rows, const struct side *side,
                struct err *err)
{
    struct sql_rows ids;
    char after[64] = "", upto[64] = "";
    const char *insert = insert_text(arena, rows, side, "rebuild_", " > ? AND id <= ?");
    const char *next = arena_printf(arena, "SELECT id FROM rebuild_%s WHERE id > ? ORDER BY id LIMIT ?", rows->name);
    if (insert == NULL || next == NULL)
        return no_room(err);
    struct arena *page = arena_new(64 * 1024 * 1024);
    int status = page != NULL ? 0 : fail(err, ERR_UNAVAILABLE, "no memory");
    do {
        if (status == 0)
            arena_reset(page);
        if (status != 0 ||
            (status = sql_select(db, page, next, SQL_ARGS(SQL_TEXT(after), SQL_INT(FILL)), &ids, err)) != 0 ||
            ids.count == 0)
            break;
        snprintf(upto, sizeof upto, "%s", SQL_CELL(&ids, ids.count - 1, 0).data);
        status = sql_exec(db, insert, SQL_ARGS(SQL_TEXT(after), SQL_TEXT(upto)), NULL, err);
        memcpy(after, upto, sizeof after);
    } while (ids.count == FILL);
    arena_free(&page);
    return status;
}

int sides_make(struct sql *db, struct arena *arena, const struct read_model *rows, struct err *err)
{
    for (size_t i = 0; i < rows->side_count; i++) {
        const struct side *side = &rows->sides[i];
        const char *name = side->name;
        if (script(db,
                   arena_printf(arena, "DROP TABLE IF EXISTS rebuild_%s; CREATE TABLE rebuild_%s LIKE %s", name, name,
                                name),
                   err) != 0 ||
            (side->late != NULL &&
             script(db, arena_printf(arena, "ALTER TABLE rebuild_%s DROP KEY %s", name, side->late_key), err) != 0) ||
            fill(db, arena, rows, side, err) != 0 ||
            (side->late != NULL &&
             script(db,
                    arena_printf(arena, "SET SESSION innodb_ft_enable_stopword = OFF; ALTER TABLE rebuild_%s ADD %s",
                                 name, side->late),
                    err) != 0))
            return -1;
    }
    return 0;
}

/* What is in one of two sets of rows and not in the other: «(a EXCEPT b) UNION (b EXCEPT a)», by id. */
static const char *difference_text(struct arena *arena, const char *name, const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return NULL;
    return arena_printf(
        arena, "SELECT DISTINCT id, '%s' FROM (((%s) EXCEPT (%s)) UNION ALL ((%s) EXCEPT (%s))) AS d LIMIT 100", name,
        a, b, b, a);
}

static const char *side_text(struct arena *arena, const struct side *side, const char *prefix, const char *rest)
{
    return rest != NULL ? arena_printf(arena, "SELECT %s FROM %s%s WHERE id%s", side->exact, prefix, side->name, rest)
                        : NULL;
}

/* What the rows say, in the form of side_text. */
static const char *rows_text(struct arena *arena, const struct read_model *rows, const struct side *side,
                             const char *rest)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_printf(&buf, "SELECT %s FROM (", side->exact);
    side_select(&buf, side, rows->name);
    buf_printf(&buf, "%s) AS r", rest != NULL ? rest : "");
    return rest != NULL ? finished(&buf) : NULL;
}

int sides_check(struct sql *db, struct arena *arena, const struct read_model *rows, const char *const *ids,
                size_t count, struct sql_rows *found, struct err *err)
{
    struct sql_arg args[4 * AT_ONCE];
    *found = (struct sql_rows){0};
    for (size_t s = 0; s < rows->side_count; s++) {
        const char *places = sql_places(arena, AT_ONCE),
                   *in = places != NULL ? arena_printf(arena, " IN %s", places) : NULL;
        const char *text = difference_text(arena, rows->sides[s].name, side_text(arena, &rows->sides[s], "", in),
                                           rows_text(arena, rows, &rows->sides[s], in));
        if (text == NULL)
            return no_room(err);
        for (size_t from = 0; from < count && found->count == 0; from += AT_ONCE) {
            for (size_t i = 0; i < 4 * AT_ONCE; i++) {
                size_t at = from + i % AT_ONCE;
                args[i] = SQL_TEXT(ids[at < count ? at : count - 1]);
            }
            if (sql_select(db, arena, text, args, 4 * AT_ONCE, found, err) != 0)
                return -1;
        }
    }
    return 0;
}

int sides_compare(struct sql *db, struct arena *arena, const struct side *side, const char *after, const char *upto,
                  struct sql_rows *found, struct err *err)
{
    static const char *const RANGE = " > ? AND id <= ?";
    struct sql_arg args[8];
    const char *text = difference_text(arena, side->name, side_text(arena, side, "", RANGE),
                                       side_text(arena, side, "rebuild_", RANGE));
    if (text == NULL)
        return no_room(err);
    for (size_t i = 0; i < 8; i++)
        args[i] = SQL_TEXT(i % 2 == 0 ? after : upto);
    return sql_select(db, arena, text, args, 8, found, err);
}
