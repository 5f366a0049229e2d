/* change_password → user.password_changed, which ends the user's other sessions; set by another, API tokens too. */
#include "domain/user.h"

#include "base/json.h"

#include <string.h>

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "password", .type = FIELD_TEXT, .required = true, .least = 8, .most = 256},
    {.name = "current_password", .type = FIELD_TEXT, .least = 1, .most = 256},
};

static void check(const struct command *command, struct faults *faults)
{
    const char *id = command->target != NULL ? command->target : json_string(command->payload, "id").data;
    const char *own = command->actor->scopes == NULL ? command->actor->user_id : NULL;
    if (id != NULL && own != NULL && strcmp(id, own) == 0 &&
        !json_object_object_get_ex(command->payload, "current_password", NULL))
        fault_add(faults, "/current_password", "is missing");
}

static int wrong(struct err *err)
{
    return fail(err, ERR_DENIED, "The current password is wrong.");
}

/*
 * The user says the old one too: a session that was left open is not enough to take the account over. What it was
 * checked against must be there yet when the new one takes its place.
 */
static int check_current(struct sql *db, struct command *command, struct err *err)
{
    struct sql_rows rows;
    struct str current = json_string(command->payload, "current_password");
    if (sql_select(db, command->arena, "SELECT password_hash FROM credentials WHERE user_id = ?",
                   SQL_ARGS(SQL_TEXT(command->target)), &rows, err) != 0)
        return -1;
    const char *hash = rows.count == 1 ? SQL_CELL(&rows, 0, 0).data : NULL;
    int right = password_check(current.data, current.len, hash, (unsigned long long)command->conf->auth_argon2_ops,
                               (size_t)command->conf->auth_argon2_memory, err);
    command->prepared = hash;
    return right == 0 ? wrong(err) : right > 0 ? 0 : -1;
}

static int prepare(struct sql *db, struct command *command, struct err *err)
{
    const struct user any = {.erased_at = INT64_MIN};
    if (user_may_change(&any, command, err) != 0 || (user_is_self(command) && check_current(db, command, err) != 0))
        return -1;
    return user_hash_password(command, err);
}

struct str user_id_json(const struct command *command)
{
    return str_of(arena_printf(command->arena, "{\"id\":\"%s\"}", command->target));
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    if (!decision_add(decision, "user.password_changed", USERS.audience(state, command->arena), user_id_json(command)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

void user_expect_password(struct sql_batch *batch, const struct command *command, const char *hash)
{
    sql_batch_add(batch,
                  "IF NOT EXISTS (SELECT 1 FROM credentials WHERE user_id = ? AND password_hash = ? FOR UPDATE) THEN "
                  "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '" PASSWORD_CHANGED "'; END IF",
                  SQL_ARGS(SQL_TEXT(command->target), SQL_TEXT(hash)));
}

static int taken(const char *key, struct err *err)
{
    return strcmp(key, PASSWORD_CHANGED) == 0 ? wrong(err) : 0;
}

static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    const char *session = command->actor->session_id, *hash = command->aside;
    (void)err;
    if (command->prepared != NULL) {
        user_expect_password(batch, command, command->prepared);
        sql_batch_add(batch, "UPDATE credentials SET password_hash = ? WHERE user_id = ?",
                      SQL_ARGS(SQL_TEXT(hash), SQL_TEXT(command->target)));
    } else {
        /* Somebody else sets it: for an account that has none too, and against whoever holds what it opens. */
        sql_batch_add(batch,
                      "INSERT INTO credentials (user_id, password_hash) VALUES (?, ?) ON DUPLICATE KEY UPDATE "
                      "password_hash = VALUES(password_hash)",
                      SQL_ARGS(SQL_TEXT(command->target), SQL_TEXT(hash)));
        sql_batch_add(batch, "DELETE FROM api_tokens WHERE user_id = ?", SQL_ARGS(SQL_TEXT(command->target)));
    }
    sql_batch_add(batch, "DELETE FROM sessions WHERE user_id = ? AND id <> ?",
                  SQL_ARGS(SQL_TEXT(command->target), SQL_TEXT(session != NULL ? session : "")));
    return 0;
}

const struct command_type CHANGE_PASSWORD = {
    .name = "change_password",
    .summary = "Sets another password, and ends the user's other sessions; of another user, the API tokens too.",
    .model = &USERS,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .secrets = true,
    .check = check,
    .prepare = prepare,
    .vouched = true,
    .authorise = user_may_change,
    .decide = decide,
    .taken = taken,
    .beside = beside,
};
