/* update_user → user.updated. */
#include "domain/user.h"
#include "events/seal.h"

#include <string.h>

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "username", .type = FIELD_TEXT, .required = true, .least = 2, .most = 40},
    {.name = "email", .type = FIELD_TEXT, .required = true, .least = 3, .most = 254},
};

bool user_is_self(const struct command *command)
{
    return command->actor->user_id != NULL && strcmp(command->actor->user_id, command->target) == 0;
}

bool user_administers(const struct actor *actor)
{
    return actor->scopes == NULL && actor_may(actor, "user_admin");
}

int user_may_change(const void *state, const struct command *command, struct err *err)
{
    const struct user *user = state;
    if (command->actor->scopes != NULL)
        return fail(err, ERR_DENIED, "An API token changes no account.");
    if (!user_is_self(command) && !actor_may(command->actor, "user_admin"))
        return command->actor->user_id != NULL ? fail(err, ERR_ABSENT, "There is no such user.")
                                               : fail(err, ERR_DENIED, "Only the user changes an account.");
    return user->erased_at == INT64_MIN ? 0 : fail(err, ERR_GONE, "The account was erased.");
}

/* The user's key; a new one for an account from before there were any. */
static int prepare(struct sql *db, struct command *command, struct err *err)
{
    unsigned char *key = arena_alloc(command->arena, SECRET_SIZE);
    if (key == NULL)
        return fail(err, ERR_INTERNAL, "no room for a key");
    if (seal_keys(db, command->arena, &command->target, 1, &command->key, err) != 0)
        return -1;
    command->prepared = NULL;
    if (command->key == NULL) {
        crypt_random(key, SECRET_SIZE);
        command->key = key;
        command->prepared = key;
    }
    return 0;
}

/* Whether the name is another one stands beside it: what it is, nobody can read without the key. */
static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const struct user *user = state;
    const char *name = json_string(command->payload, "username").data;
    bool renamed = user->username == NULL || name == NULL || strcmp(user->username, name) != 0;
    struct str sealed = user_sealed_json(command, command->target, command->event_ids[0]);
    const char *data = sealed.data == NULL
                           ? NULL
                           : arena_printf(command->arena, "%.*s,\"renamed\":%s}", (int)sealed.len - 1, sealed.data,
                                          renamed ? "true" : "false");
    if (data == NULL || !decision_add(decision, "user.updated", USERS.audience(state, command->arena), str_of(data)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    /* Of two who make the first one, the second takes that of the other. */
    if (command->prepared != NULL) {
        sql_batch_add(batch,
                      "IF EXISTS (SELECT 1 FROM seal_keys WHERE id = ? FOR UPDATE) THEN SIGNAL SQLSTATE '45000' SET "
                      "MESSAGE_TEXT = 'seal_key'; END IF",
                      SQL_ARGS(SQL_TEXT(command->target)));
        seal_key_add(batch, command->target, command->key);
    }
    sql_batch_add(batch, "UPDATE log_head SET names = names + 1 WHERE one = 1", NULL, 0);
    return 0;
}

static int taken(const char *key, struct err *err)
{
    if (strcmp(key, "seal_key") == 0)
        return fail(err, ERR_TRANSIENT, "another command has made the user's key");
    return user_taken(key, err);
}

const struct command_type UPDATE_USER = {
    .name = "update_user",
    .summary = "Gives an account another name or address.",
    .model = &USERS,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .renames = true,
    .prepares_anew = true,
    .needs_version = true,
    .check = user_check,
    .prepare = prepare,
    .vouched = true,
    .authorise = user_may_change,
    .decide = decide,
    .taken = taken,
    .beside = beside,
};
