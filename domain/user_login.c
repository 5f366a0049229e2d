/* log_in → user.logged_in. Whoever dispatches it has verified the password; the actor is the session that begins. */
#include "domain/user.h"

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const char *data = arena_printf(command->arena, "{\"session_id\":\"%s\"}", command->actor->session_id);
    if (!decision_add(decision, "user.logged_in", USERS.audience(state, command->arena), str_of(data)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    if (command->aside != NULL)
        sql_batch_add(batch, "UPDATE credentials SET password_hash = ? WHERE user_id = ?",
                      SQL_ARGS(SQL_TEXT((const char *)command->aside), SQL_TEXT(command->target)));
    return 0;
}

const struct command_type LOG_IN = {
    .name = "log_in",
    .summary = "Begins a session.",
    .model = &USERS,
    .decide = decide,
    .beside = beside,
};
