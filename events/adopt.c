/* See adopt.h. */
#include "events/adopt.h"

#include "base/clock.h"
#include "events/seal.h"

#include <string.h>

int adopt_find(struct sql *db, struct arena *arena, const struct read_model *rows, const char *after,
               struct sql_rows *found, struct err *err)
{
    const char *text = arena_printf(arena,
                                    "SELECT r.id FROM %s AS r WHERE r.id > ? AND NOT EXISTS (SELECT 1 FROM events AS e "
                                    "WHERE e.stream = CONCAT(_ascii'%s-', r.id) AND e.version = r.version) "
                                    "ORDER BY r.id LIMIT ?",
                                    rows->name, rows->category);
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    return sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(after), SQL_INT(ADOPT_PAGE)), found, err);
}

/* The row under its lock, and whether the log has its version: 1 it lacks it, 0 it has it or the row is gone. */
static int load(struct sql *db, const struct read_model *rows, const char *id, const char *stream, struct arena *arena,
                void *state, struct err *err)
{
    struct sql_rows found, there;
    const char *text = row_select(rows, arena, rows->name, "WHERE id = ? FOR UPDATE");
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    if (sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(id)), &found, err) != 0)
        return -1;
    if (found.count == 0)
        return 0;
    row_state(rows, &found, 0, state);
    if (sql_select(db, arena, "SELECT COALESCE(MAX(version), 0) FROM events WHERE stream = ?",
                   SQL_ARGS(SQL_TEXT(stream)), &there, err) != 0)
        return -1;
    int64_t last = sql_number(SQL_CELL(&there, 0, 0)), version = state_version(rows, state);
    if (last > version)
        return fail(err, ERR_CONFLICT, "%s: the row is at version %lld, its stream at %lld: rebuild it", stream,
                    (long long)version, (long long)last);
    return last < version;
}

static int make_event(struct sql *db, const struct model *model, const struct read_model *rows, const char *stream,
                      const void *state, const struct actor *actor, struct arena *arena, struct envelope *event,
                      struct err *err)
{
    struct buf data;
    const char *id = stream + strlen(rows->category) + 1;
    const unsigned char *key = NULL;
    const struct event_type *type = model_event(model, rows->imported);
    const struct command by = {.actor = actor, .arena = arena, .source = "courantctl"};
    void *made = arena_alloc(arena, rows->state_size);
    buf_init(&data, arena);
    rows->whole_json(&data, state);
    *event = (struct envelope){.stream = stream,
                               .version = state_version(rows, state),
                               .type = rows->imported,
                               .audience = rows->audience(state, arena),
                               .data = buf_str(&data),
                               .metadata = command_metadata(&by, type->schema),
                               .schema = type->schema,
                               .recorded_at = clock_now()};
    id_new(event->id);
    if (data.failed || made == NULL || event->audience == NULL || arena_exhausted(arena))
        return fail(err, ERR_UNAVAILABLE, "no room for an event");
    event_digest(event, event->digest);
    if ((rows->sealed && seal_keys(db, arena, &id, 1, &key, err) != 0) ||
        model_fold(model, made, event, arena, err) != 0 || state_derive(rows, made, key, arena, err) != 0)
        return -1;
    const struct column *column = state_difference(rows, state, made);
    return column == NULL ? 0
                          : fail(err, ERR_CONFLICT, "%s: no event can make what is in column %s", stream, column->name);
}

int adopt_row(struct sql *db, const struct model *model, const struct read_model *rows, const char *id,
              const struct actor *actor, struct arena *arena, struct err *err)
{
    struct envelope event;
    const char *stream = arena_printf(arena, "%s-%s", rows->category, id);
    void *state = arena_alloc(arena, rows->state_size);
    struct sql_batch *batch = sql_batch_new(arena);
    if (stream == NULL || state == NULL || batch == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a row");
    if (sql_begin(db, err) != 0)
        return -1;
    int lacks = load(db, rows, id, stream, arena, state, err);
    if (lacks <= 0 || make_event(db, model, rows, stream, state, actor, arena, &event, err) != 0) {
        sql_rollback(db);
        return lacks == 0 ? 0 : -1;
    }
    eventlog_append(batch, &event, 1, 0);
    return sql_batch_commit(db, batch, NULL, err) == 0 ? 1 : -1;
}
