/*
 * log_in → user.logged_in, log_out → user.logged_out, revoke_session → user.session_revoked, create_token →
 * user.token_created, revoke_token → user.token_revoked, create_invitation → user.invitation_created,
 * revoke_invitation → user.invitation_revoked.
 */
#include "domain/session.h"

#include "base/clock.h"
#include "base/json.h"

#include <string.h>

static int note(const void *state, const struct command *command, struct decision *decision, const char *type,
                const char *data, struct err *err)
{
    if (data == NULL || !decision_add(decision, type, USERS.audience(state, command->arena), str_of(data)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

static const char *session_json(const struct command *command, const char *id)
{
    return arena_printf(command->arena, "{\"session_id\":\"%s\"}", id);
}

static int erased(const void *state, const struct command *command, struct err *err)
{
    const struct user *user = state;
    (void)command;
    return user->erased_at == INT64_MIN ? 0 : fail(err, ERR_GONE, "The account was erased.");
}

static int wrong(struct err *err)
{
    return fail(err, ERR_DENIED, "The name or the password is wrong.");
}

static int may_log_in(const void *state, const struct command *command, struct err *err)
{
    return erased(state, command, err) == 0 ? 0 : wrong(err);
}

/*
 * Between the check of the password and the lock somebody may have set another one, which ends what was there; or
 * another login has stored the same one anew. Whoever tries again is told which.
 */
static int overtaken(const char *key, struct err *err)
{
    return strcmp(key, PASSWORD_CHANGED) == 0 ? fail(err, ERR_UNAVAILABLE, "The password was stored anew meanwhile.")
                                              : 0;
}

static int log_in(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    return note(state, command, decision, "user.logged_in", session_json(command, command->actor->session_id), err);
}

static int begin(struct sql_batch *batch, const struct command *command, struct err *err)
{
    const struct login *login = command->aside;
    const char *session = command->actor->session_id;
    const struct conf *conf = command->conf;
    struct sql_arg now = sql_moment(batch, command->now);
    int64_t life = conf->auth_session_s < conf->auth_session_max_s ? conf->auth_session_s : conf->auth_session_max_s;
    (void)err;
    user_expect_password(batch, command, login->verified);
    if (login->password_hash != NULL)
        sql_batch_add(batch, "UPDATE credentials SET password_hash = ? WHERE user_id = ?",
                      SQL_ARGS(SQL_TEXT(login->password_hash), SQL_TEXT(command->target)));
    sql_batch_add(
        batch, "INSERT INTO sessions (id, user_id, agent, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        SQL_ARGS(SQL_TEXT(session), SQL_TEXT(command->target), SQL_TEXT(login->agent), now, now,
                 sql_moment(batch, command->now + life * 1000000)));
    sql_batch_add(batch, "INSERT INTO refresh_tokens (hash, session_id, created_at) VALUES (?, ?, ?)",
                  SQL_ARGS(SQL_BYTES(login->refresh, SHA256_SIZE), SQL_TEXT(session), now));
    return 0;
}

const struct command_type LOG_IN = {
    .name = "log_in",
    .summary = "Begins a session.",
    .model = &USERS,
    .authorise = may_log_in,
    .decide = log_in,
    .taken = overtaken,
    .beside = begin,
};

/*
 * What several end at once ends once: whoever finds nothing left has nothing to do. That is looked up before the lock
 * is had, and stated again with it.
 */
#define ENDED "ended"
#define UNLESS_ENDED "IF ROW_COUNT() = 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '" ENDED "'; END IF"

static int find_left(struct sql *db, struct command *command, const char *text, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(db, command->arena, text, SQL_ARGS(SQL_TEXT((const char *)command->aside)), &rows, err) != 0)
        return -1;
    command->prepared = rows.count > 0 ? command->aside : NULL;
    return 0;
}

static int meanwhile(const char *key, struct err *err)
{
    return strcmp(key, ENDED) == 0 ? fail(err, ERR_TRANSIENT, "it has ended meanwhile") : 0;
}

static int find_session(struct sql *db, struct command *command, struct err *err)
{
    return find_left(db, command, "SELECT 1 FROM sessions WHERE id = ?", err);
}

static int log_out(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const char *data = session_json(command, command->aside);
    return command->prepared != NULL ? note(state, command, decision, "user.logged_out", data, err) : 0;
}

static int revoke(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const char *data = session_json(command, command->aside);
    return command->prepared != NULL ? note(state, command, decision, "user.session_revoked", data, err) : 0;
}

static int end(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    sql_batch_add(batch, "DELETE FROM sessions WHERE id = ?; " UNLESS_ENDED,
                  SQL_ARGS(SQL_TEXT((const char *)command->aside)));
    return 0;
}

const struct command_type LOG_OUT = {
    .name = "log_out",
    .summary = "Ends the session that it is sent in.",
    .model = &USERS,
    .removes = true,
    .prepare = find_session,
    .prepares_anew = true,
    .decide = log_out,
    .taken = meanwhile,
    .beside = end,
};

const struct command_type REVOKE_SESSION = {
    .name = "revoke_session",
    .summary = "Ends another session.",
    .model = &USERS,
    .removes = true,
    .prepare = find_session,
    .prepares_anew = true,
    .decide = revoke,
    .taken = meanwhile,
    .beside = end,
};

enum { YEARS_10_S = 315360000 };

static const struct field TOKEN_FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "name", .type = FIELD_TEXT, .required = true, .least = 1, .most = 100},
    {.name = "scopes", .type = FIELD_TEXTS, .required = true, .least = 1, .most = 40, .items = 7},
    {.name = "expires_in", .type = FIELD_NUMBER, .least = 1},
};

static void check_token(const struct command *command, struct faults *faults)
{
    struct json_object *scopes = json_object_object_get(command->payload, "scopes");
    const char *all = arena_printf(command->arena, "read write %s", ALL_PERMISSIONS);
    const struct actor any = {.permissions = all != NULL ? all : ""};
    bool listed = json_object_is_type(scopes, json_type_array);
    for (size_t i = 0; listed && i < json_object_array_length(scopes); i++) {
        const char *scope = json_object_get_string(json_object_array_get_idx(scopes, i));
        if (scope != NULL && (strchr(scope, ' ') != NULL || !actor_may(&any, scope)))
            fault_add(faults, arena_printf(command->arena, "/scopes/%zu", i),
                      arena_printf(command->arena, "must be one of %s", any.permissions));
    }
    if (listed && json_object_array_length(scopes) == 0)
        fault_add(faults, "/scopes", "must name at least one");
    if (json_object_get_int64(json_object_object_get(command->payload, "expires_in")) > YEARS_10_S)
        fault_add(faults, "/expires_in", "must be ten years (315360000 s) at most");
}

static const char *scopes_of(const struct command *command)
{
    struct buf buf;
    struct json_object *scopes = json_object_object_get(command->payload, "scopes");
    buf_init(&buf, command->arena);
    for (size_t i = 0; i < json_object_array_length(scopes); i++) {
        buf_puts(&buf, i > 0 ? " " : "");
        buf_puts(&buf, json_object_get_string(json_object_array_get_idx(scopes, i)));
    }
    buf_add(&buf, "", 1);
    return buf.failed ? NULL : buf.data;
}

static int create(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    struct buf buf;
    const char *scopes = scopes_of(command);
    buf_init(&buf, command->arena);
    buf_printf(&buf, "{\"token_id\":\"%s\",\"scopes\":", command->event_ids[0]);
    buf_words(&buf, scopes != NULL ? scopes : "");
    buf_puts(&buf, "}");
    buf_add(&buf, "", 1);
    return note(state, command, decision, "user.token_created", buf.failed ? NULL : buf.data, err);
}

static int add_token(struct sql_batch *batch, const struct command *command, struct err *err)
{
    struct str name = json_string(command->payload, "name");
    struct json_object *life = json_object_object_get(command->payload, "expires_in");
    int64_t expires = life != NULL ? command->now + json_object_get_int64(life) * 1000000 : INT64_MIN;
    const char *scopes = scopes_of(command);
    if (scopes == NULL)
        return fail(err, ERR_INTERNAL, "no room for scopes");
    /* The user's row is locked: of two that would be the last, one is refused. */
    sql_batch_add(batch,
                  "IF (SELECT COUNT(*) FROM api_tokens WHERE user_id = ?) >= ? THEN SIGNAL SQLSTATE '45000' SET "
                  "MESSAGE_TEXT = 'tokens'; END IF",
                  SQL_ARGS(SQL_TEXT(command->target), SQL_INT(TOKENS_MOST)));
    sql_batch_add(batch,
                  "INSERT INTO api_tokens (id, user_id, name, hash, scopes, created_at, expires_at) VALUES (?, ?, ?, "
                  "?, ?, ?, ?)",
                  SQL_ARGS(SQL_TEXT(command->event_ids[0]), SQL_TEXT(command->target), SQL_STR(name),
                           SQL_BYTES(command->aside, SHA256_SIZE), SQL_TEXT(scopes), sql_moment(batch, command->now),
                           sql_moment(batch, expires)));
    return 0;
}

static int too_many(const char *key, struct err *err)
{
    if (strcmp(key, "tokens") != 0)
        return 0;
    return fail(err, ERR_CONFLICT, "A user has at most %d API tokens: end one that is not needed first.", TOKENS_MOST);
}

const struct command_type CREATE_TOKEN = {
    .name = "create_token",
    .summary = "Makes an API token.",
    .model = &USERS,
    .fields = TOKEN_FIELDS,
    .field_count = sizeof TOKEN_FIELDS / sizeof TOKEN_FIELDS[0],
    .check = check_token,
    .vouched = true,
    .authorise = erased,
    .decide = create,
    .taken = too_many,
    .beside = add_token,
};

static int find_token(struct sql *db, struct command *command, struct err *err)
{
    return find_left(db, command, "SELECT 1 FROM api_tokens WHERE id = ?", err);
}

static int revoke_token(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const char *data = arena_printf(command->arena, "{\"token_id\":\"%s\"}", (const char *)command->aside);
    return command->prepared != NULL ? note(state, command, decision, "user.token_revoked", data, err) : 0;
}

static int remove_token(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    sql_batch_add(batch, "DELETE FROM api_tokens WHERE id = ?; " UNLESS_ENDED,
                  SQL_ARGS(SQL_TEXT((const char *)command->aside)));
    return 0;
}

const struct command_type REVOKE_TOKEN = {
    .name = "revoke_token",
    .summary = "Ends an API token.",
    .model = &USERS,
    .removes = true,
    .prepare = find_token,
    .prepares_anew = true,
    .decide = revoke_token,
    .taken = meanwhile,
    .beside = remove_token,
};

static const struct field INVITATION_FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "expires_in", .type = FIELD_NUMBER, .least = 1},
};

static void check_invitation(const struct command *command, struct faults *faults)
{
    if (json_object_get_int64(json_object_object_get(command->payload, "expires_in")) > YEARS_10_S)
        fault_add(faults, "/expires_in", "must be ten years (315360000 s) at most");
}

static int may_invite(const void *state, const struct command *command, struct err *err)
{
    if (!user_administers(command->actor))
        return fail(err, ERR_DENIED, "Only user_admin invites.");
    return erased(state, command, err);
}

static int invite(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const char *data = arena_printf(command->arena, "{\"invitation_id\":\"%s\"}", command->event_ids[0]);
    return note(state, command, decision, "user.invitation_created", data, err);
}

static int add_invitation(struct sql_batch *batch, const struct command *command, struct err *err)
{
    struct json_object *life = json_object_object_get(command->payload, "expires_in");
    int64_t seconds = life != NULL ? json_object_get_int64(life) : INVITATION_S;
    (void)err;
    invitation_insert(batch, command->event_ids[0], command->target, command->aside, command->now, seconds);
    return 0;
}

const struct command_type CREATE_INVITATION = {
    .name = "create_invitation",
    .summary = "Makes an invitation, good for one registration.",
    .model = &USERS,
    .fields = INVITATION_FIELDS,
    .field_count = sizeof INVITATION_FIELDS / sizeof INVITATION_FIELDS[0],
    .check = check_invitation,
    .vouched = true,
    .authorise = may_invite,
    .decide = invite,
    .beside = add_invitation,
};

static int find_invitation(struct sql *db, struct command *command, struct err *err)
{
    return find_left(db, command, "SELECT 1 FROM invitations WHERE id = ?", err);
}

static int withdraw(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const char *data = arena_printf(command->arena, "{\"invitation_id\":\"%s\"}", (const char *)command->aside);
    return command->prepared != NULL ? note(state, command, decision, "user.invitation_revoked", data, err) : 0;
}

static int remove_invitation(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    sql_batch_add(batch, "DELETE FROM invitations WHERE id = ?; " UNLESS_ENDED,
                  SQL_ARGS(SQL_TEXT((const char *)command->aside)));
    return 0;
}

const struct command_type REVOKE_INVITATION = {
    .name = "revoke_invitation",
    .summary = "Ends an invitation.",
    .model = &USERS,
    .removes = true,
    .prepare = find_invitation,
    .prepares_anew = true,
    .authorise = may_invite,
    .decide = withdraw,
    .taken = meanwhile,
    .beside = remove_invitation,
};
