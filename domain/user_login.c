/* log_in → user.logged_in. Whoever dispatches it has verified the password; the actor is the session that begins. */
#include "domain/user.h"

#include "base/buf.h"

static int load(struct sql *db, const struct command *command, const void **state, struct err *err)
{
    struct sql_rows rows;
    int64_t *version = arena_alloc(command->arena, sizeof *version);
    if (version == NULL)
        return fail(err, ERR_INTERNAL, "no room for a user");
    if (sql_select(db, command->arena, "SELECT version FROM users WHERE id = ? FOR UPDATE",
                   SQL_ARGS(SQL_TEXT(command->target)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_ABSENT, "There is no such user.");
    *version = sql_number(SQL_CELL(&rows, 0, 0));
    *state = version;
    return 0;
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    struct buf data;
    buf_init(&data, command->arena);
    buf_printf(&data, "{\"session_id\":\"%s\"}", command->actor->session_id);
    decision->stream = arena_printf(command->arena, "user-%s", command->target);
    decision->version = *(const int64_t *)state;
    return decision_add(decision, "user.logged_in",
                        arena_printf(command->arena, "user:%s permission:user_admin", command->target), buf_str(&data))
               ? 0
               : fail(err, ERR_INTERNAL, "no room for an event");
}

static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    if (command->aside != NULL)
        sql_batch_add(batch, "UPDATE credentials SET password_hash = ? WHERE user_id = ?",
                      SQL_ARGS(SQL_TEXT((const char *)command->aside), SQL_TEXT(command->target)));
    return 0;
}

const struct command_type LOG_IN = {.name = "log_in", .load = load, .decide = decide, .beside = beside};
