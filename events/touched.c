/* See touched.h. */
#include "events/touched.h"

#include "base/hash.h"

#include "events/seal.h"
#include "events/sides.h"

#include <string.h>

/* Rows asked for at once. A shorter list repeats its last id, so that there is one statement for all. */
enum { AT_ONCE = 64 };

struct table {
    struct touched **slots;
    size_t size;
};

static struct touched **slot_of(const struct table *table, const char *stream)
{
    uint64_t hash = hash_text(stream);
    size_t i = (size_t)(hash ^ hash >> 32) % table->size;
    while (table->slots[i] != NULL && strcmp(table->slots[i]->stream, stream) != 0)
        i = (i + 1) % table->size;
    return &table->slots[i];
}

static int add(const struct model *model, struct arena *arena, const struct envelope *event, struct touched *item,
               struct err *err)
{
    *item = (struct touched){
        .stream = event->stream, .rows = model_of_stream(model, event->stream), .first = event->version};
    if (item->rows == NULL)
        return fail(err, ERR_DAMAGED, "position %lld: there is no read model for %.64s", (long long)event->position,
                    event->stream);
    item->id = event->stream + strlen(item->rows->category) + 1;
    item->state = arena_alloc(arena, item->rows->state_size);
    return item->state != NULL ? 0 : fail(err, ERR_UNAVAILABLE, "no room for states");
}

int touched_find(const struct model *model, struct arena *arena, const struct event_list *events,
                 struct touched_list *list, struct err *err)
{
    struct table table = {.size = 2 * events->count + 1};
    table.slots = arena_alloc(arena, table.size * sizeof(struct touched *));
    *list = (struct touched_list){.items = arena_alloc(arena, (events->count + 1) * sizeof *list->items),
                                  .of = arena_alloc(arena, (events->count + 1) * sizeof(struct touched *))};
    if (table.slots == NULL || list->items == NULL || list->of == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for streams");
    for (size_t i = 0; i < events->count; i++) {
        if (model_rowless(model, &events->events[i]))
            continue;
        struct touched **slot = slot_of(&table, events->events[i].stream);
        if (*slot == NULL) {
            if (add(model, arena, &events->events[i], &list->items[list->count], err) != 0)
                return -1;
            *slot = &list->items[list->count++];
        }
        list->of[i] = *slot;
    }
    return 0;
}

int touched_runs(struct arena *arena, size_t *most, const struct event_list *events, touched_run run, void *context,
                 struct err *err)
{
    for (size_t at = 0; at < events->count;) {
        size_t left = events->count - at, count = *most < left ? *most : left;
        const struct event_list some = {.events = events->events + at, .count = count};
        arena_reset(arena);
        if (run(context, &some, err) == 0) {
            at += count;
            *most += *most / 8 + 1;
        } else if (arena_exhausted(arena) && count > 1) {
            *most = count / 2;
        } else {
            return -1;
        }
    }
    return 0;
}

static const char *select_text(const struct read_model *rows, struct arena *arena, const char *prefix)
{
    const char *places = sql_places(arena, AT_ONCE), *table = arena_printf(arena, "%s%s", prefix, rows->name);
    const char *where = places != NULL ? arena_printf(arena, "WHERE id IN %s", places) : NULL;
    return table != NULL && where != NULL ? row_select(rows, arena, table, where) : NULL;
}

/* Gives each row to the item that it belongs to. */
static int place_rows(struct arena *arena, const struct sql_rows *found, struct touched **asked, size_t count,
                      struct err *err)
{
    for (size_t r = 0; r < found->count; r++) {
        struct str id = SQL_CELL(found, r, 0);
        for (size_t i = 0; i < count; i++) {
            if (strcmp(asked[i]->id, id.data) != 0)
                continue;
            asked[i]->row = arena_alloc(arena, asked[i]->rows->state_size);
            if (asked[i]->row == NULL)
                return fail(err, ERR_UNAVAILABLE, "no room for rows");
            row_state(asked[i]->rows, found, r, asked[i]->row);
        }
    }
    return 0;
}

static int load_some(struct sql *db, struct arena *arena, const char *text, struct touched **asked, size_t count,
                     struct err *err)
{
    struct sql_arg ids[AT_ONCE];
    struct sql_rows found;
    for (size_t i = 0; i < AT_ONCE; i++)
        ids[i] = SQL_TEXT(asked[i < count ? i : count - 1]->id);
    if (sql_select(db, arena, text, ids, AT_ONCE, &found, err) != 0)
        return -1;
    return place_rows(arena, &found, asked, count, err);
}

static int load_model(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                      bool (*want)(const struct touched *item), struct touched_list *list, struct err *err)
{
    struct touched *asked[AT_ONCE];
    size_t count = 0;
    const char *text = select_text(rows, arena, prefix);
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].rows == rows && (want == NULL || want(&list->items[i])))
            asked[count++] = &list->items[i];
        if (count > 0 && (count == AT_ONCE || i + 1 == list->count)) {
            if (load_some(db, arena, text, asked, count, err) != 0)
                return -1;
            count = 0;
        }
    }
    return 0;
}

int touched_load(struct sql *db, struct arena *arena, const struct model *model, const char *prefix,
                 bool (*want)(const struct touched *item), struct touched_list *list, struct err *err)
{
    for (size_t i = 0; i < model->read_model_count; i++)
        if (load_model(db, arena, model->read_models[i], prefix, want, list, err) != 0)
            return -1;
    return 0;
}

static int model_keys(struct sql *db, struct arena *arena, const struct read_model *rows, struct touched_list *list,
                      struct err *err)
{
    size_t count = 0;
    const char **ids = arena_alloc(arena, (list->count + 1) * sizeof *ids);
    const unsigned char **keys = arena_alloc(arena, (list->count + 1) * sizeof *keys);
    if (ids == NULL || keys == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for keys");
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].rows == rows)
            ids[count++] = list->items[i].id;
    if (count > 0 && seal_keys(db, arena, ids, count, keys, err) != 0)
        return -1;
    count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].rows == rows)
            list->items[i].key = keys[count++];
    return 0;
}

int touched_keys(struct sql *db, struct arena *arena, const struct model *model, struct touched_list *list,
                 struct err *err)
{
    for (size_t i = 0; i < model->read_model_count; i++)
        if (model->read_models[i]->sealed && model_keys(db, arena, model->read_models[i], list, err) != 0)
            return -1;
    return 0;
}

int touched_delete(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                   const char *table, const struct touched_list *list, struct err *err)
{
    struct sql_arg ids[AT_ONCE];
    size_t count = 0;
    const char *places = sql_places(arena, AT_ONCE);
    const char *text =
        places != NULL ? arena_printf(arena, "DELETE FROM %s%s WHERE id IN %s", prefix, table, places) : NULL;
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].rows == rows && list->items[i].row != NULL)
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

static const char *insert_text(const struct read_model *rows, struct arena *arena, const char *prefix)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_printf(&buf, "INSERT INTO %s%s (", prefix, rows->name);
    for (size_t i = 0; i < rows->column_count; i++)
        buf_printf(&buf, i > 0 ? ", %s" : "%s", rows->columns[i].name);
    buf_add(&buf, ") VALUES", sizeof ") VALUES");
    return buf.failed ? NULL : buf.data;
}

static int write_model(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                       const struct touched_list *list, struct err *err)
{
    const char *insert = insert_text(rows, arena, prefix);
    struct sql_arg *values = arena_alloc(arena, (list->count + 1) * rows->column_count * sizeof *values);
    size_t count = 0;
    if (insert == NULL || values == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for rows");
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].rows == rows) {
            if (state_derive(rows, list->items[i].state, list->items[i].key, arena, err) != 0)
                return -1;
            row_values(rows, list->items[i].state, arena, values + rows->column_count * count++);
        }
    if (count == 0)
        return 0;
    if (touched_delete(db, arena, rows, prefix, rows->name, list, err) != 0)
        return -1;
    return sql_insert(db, arena, insert, values, rows->column_count, count, err);
}

int touched_write(struct sql *db, struct arena *arena, const struct model *model, const char *prefix, bool sides,
                  const struct touched_list *list, struct err *err)
{
    for (size_t i = 0; i < model->read_model_count; i++)
        if (write_model(db, arena, model->read_models[i], prefix, list, err) != 0 ||
            (sides && sides_write(db, arena, model->read_models[i], prefix, list, err) != 0))
            return -1;
    return 0;
}
