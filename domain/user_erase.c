/* erase_user → user.erased: the key of what is sealed in the log is destroyed, and all that is personal beside it. */
#include "domain/user.h"
#include "events/idempotency.h"
#include "events/seal.h"

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
};

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    if (!decision_add(decision, "user.erased", USERS.audience(state, command->arena), user_id_json(command)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    static const char *const STATEMENTS[] = {
        "DELETE FROM credentials WHERE user_id = ?", "DELETE FROM sessions WHERE user_id = ?",
        "DELETE FROM api_tokens WHERE user_id = ?", "DELETE FROM invitations WHERE inviter = ?"};
    /* What a rebuild that was killed has left lying: shadow and old table, which need not be there, or whole. */
    static const char *const SHADOWS[] = {
        "BEGIN DECLARE CONTINUE HANDLER FOR 1146, 1054 BEGIN END; "
        "UPDATE zrebuild_users SET sealed = '', username = NULL, email = NULL WHERE id = ?; END",
        "BEGIN DECLARE CONTINUE HANDLER FOR 1146, 1054 BEGIN END; "
        "UPDATE zrebuild_old_users SET sealed = '', username = NULL, email = NULL WHERE id = ?; END"};
    const struct sql_arg id = SQL_TEXT(command->target);
    (void)err;
    seal_key_destroy(batch, command->target);
    for (size_t i = 0; i < sizeof STATEMENTS / sizeof STATEMENTS[0]; i++)
        sql_batch_add(batch, STATEMENTS[i], &id, 1);
    idempotency_forget(batch, command->target);
    for (size_t i = 0; i < sizeof SHADOWS / sizeof SHADOWS[0]; i++)
        sql_batch_add(batch, SHADOWS[i], &id, 1);
    sql_batch_add(batch, "UPDATE log_head SET names = names + 1 WHERE one = 1", NULL, 0);
    return 0;
}

const struct command_type ERASE_USER = {
    .name = "erase_user",
    .summary = "Takes an account away, for good, and makes what the log holds of its owner unreadable.",
    .model = &USERS,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .renames = true,
    .needs_version = true,
    .removes = true,
    .vouched = true,
    .authorise = user_may_change,
    .decide = decide,
    .beside = beside,
};
