/* register_user → user.registered, and user.permission_granted for each permission. */
#include "domain/session.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/shown.h"
#include "events/seal.h"

#include <string.h>

const char ALL_PERMISSIONS[] = "article_edit_any article_delete_any link_edit_any user_admin audit_read";

static const struct field FIELDS[] = {
    {.name = "username", .type = FIELD_TEXT, .required = true, .least = 2, .most = 40},
    {.name = "email", .type = FIELD_TEXT, .required = true, .least = 3, .most = 254},
    {.name = "password", .type = FIELD_TEXT, .required = true, .least = 8, .most = 256},
    {.name = "invitation", .type = FIELD_TEXT, .least = 1, .most = 64},
    {.name = "permissions", .type = FIELD_TEXTS, .least = 1, .most = 40, .items = 5},
};

static int may_register(const void *state, const struct command *command, struct err *err)
{
    (void)state;
    if (json_object_object_get(command->payload, "permissions") != NULL && !user_administers(command->actor))
        return fail(err, ERR_DENIED, "Only user_admin grants permissions, and no API token does.");
    return 0;
}

/* Names stand in URLs, cookies and lists; an @ would make one look like an address. */
static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '\0' || strchr("@/\\\"'<>&;", name.data[i]) != NULL)
            return false;
    /* What looks like an @ to a reader is one here. */
    return strstr(name.data, "\xEF\xBC\xA0") == NULL && strstr(name.data, "\xEF\xB9\xAB") == NULL;
}

static bool email_ok(struct str email)
{
    const char *at = memchr(email.data, '@', email.len);
    return at != NULL && at > email.data && at < email.data + email.len - 1 &&
           memchr(at + 1, '@', (size_t)(email.data + email.len - at - 1)) == NULL &&
           strcspn(email.data, " \t\r\n<>,;\"") == email.len;
}

static bool permission_ok(const char *permission)
{
    const struct actor all = {.permissions = ALL_PERMISSIONS};
    return strchr(permission, ' ') == NULL && actor_may(&all, permission);
}

void user_check(const struct command *command, struct faults *faults)
{
    struct str name = json_string(command->payload, "username"), email = json_string(command->payload, "email");
    struct json_object *permissions = json_object_object_get(command->payload, "permissions");
    bool listed = json_object_is_type(permissions, json_type_array);
    if (name.data != NULL && name.len > 0 && !shown_name(name))
        fault_add(faults, "/username", "must have no space and only characters that show");
    if (name.data != NULL && !name_ok(name))
        fault_add(faults, "/username", "must have none of @ / \\ \" ' < > & ;");
    if (email.data != NULL && !shown_whole(email))
        fault_add(faults, "/email", "must have only characters that show");
    if (email.data != NULL && !email_ok(email))
        fault_add(faults, "/email", "must be an address, such as ann@example.org");
    for (size_t i = 0; listed && i < json_object_array_length(permissions); i++) {
        struct json_object *item = json_object_array_get_idx(permissions, i);
        if (json_object_is_type(item, json_type_string) && !permission_ok(json_object_get_string(item)))
            fault_add(faults, arena_printf(command->arena, "/permissions/%zu", i),
                      arena_printf(command->arena, "must be one of %s", ALL_PERMISSIONS));
    }
}

struct str user_sealed_json(const struct command *command, const char *id, const char *once)
{
    struct buf clear;
    struct str username = json_string(command->payload, "username"), email = json_string(command->payload, "email");
    buf_init(&clear, command->arena);
    buf_puts(&clear, "{\"username\":");
    buf_json(&clear, username.data, username.len);
    buf_puts(&clear, ",\"email\":");
    buf_json(&clear, email.data, email.len);
    buf_puts(&clear, "}");
    struct str sealed = seal_text(command->arena, command->key, once, buf_str(&clear));
    if (clear.failed || sealed.data == NULL)
        return (struct str){NULL, 0};
    return str_of(arena_printf(command->arena, "{\"id\":\"%s\",\"sealed\":\"%s\"}", id, sealed.data));
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    (void)state;
    struct json_object *permissions = json_object_object_get(command->payload, "permissions");
    const char *audience = USERS.audience(&(struct user){.id = command->new_id}, command->arena);
    bool ok = decision_add(decision, "user.registered", audience,
                           user_sealed_json(command, command->new_id, command->event_ids[0]));
    for (size_t i = 0; ok && permissions != NULL && i < json_object_array_length(permissions); i++) {
        struct buf buf;
        buf_init(&buf, command->arena);
        buf_printf(&buf, "{\"permission\":\"%s\"}", json_object_get_string(json_object_array_get_idx(permissions, i)));
        ok = decision_add(decision, "user.permission_granted", audience, buf_str(&buf));
    }
    return ok ? 0 : fail(err, ERR_INTERNAL, "the registration is too large");
}

int user_taken(const char *key, struct err *err)
{
    if (strcmp(key, "username") == 0)
        return fail(err, ERR_CONFLICT, "The username is taken.");
    if (strcmp(key, "invitation") == 0)
        return fail(err, ERR_CONFLICT, "The invitation was used by somebody else.");
    return strcmp(key, "email") == 0 ? fail(err, ERR_CONFLICT, "The email is taken.") : 0;
}

int user_hash_password(struct command *command, struct err *err)
{
    struct str password = json_string(command->payload, "password");
    char *hash = arena_alloc(command->arena, PASSWORD_HASH_SIZE);
    command->aside = hash;
    if (hash == NULL)
        return fail(err, ERR_INTERNAL, "no room for a hash");
    return password_hash(password.data, password.len, (unsigned long long)command->conf->auth_argon2_ops,
                         (size_t)command->conf->auth_argon2_memory, hash, err);
}

/* Who has user_admin, or runs courantctl, needs no leave. */
static int may_enter(struct sql *db, const struct command *command, struct err *err)
{
    struct sql_rows rows;
    char now[CLOCK_TEXT];
    const char *mode = command->conf->auth_registration;
    struct str invitation = json_string(command->payload, "invitation");
    unsigned char *hash = arena_alloc(command->arena, SHA256_SIZE);
    if (strcmp(mode, "open") == 0 || user_administers(command->actor))
        return 0;
    if (strcmp(mode, "closed") == 0)
        return fail(err, ERR_DENIED, "Registration is closed.");
    if (invitation.data == NULL || hash == NULL || !secret_hash(INVITATION_KIND, invitation.data, hash))
        return fail(err, ERR_DENIED, "Registration needs an invitation.");
    clock_sql(clock_now(), now);
    if (sql_select(db, command->arena, "SELECT 1 FROM invitations WHERE hash = ? AND expires_at > ?",
                   SQL_ARGS(SQL_BYTES(hash, SHA256_SIZE), SQL_TEXT(now)), &rows, err) != 0)
        return -1;
    return rows.count == 1 ? 0 : fail(err, ERR_DENIED, "The invitation is not valid, or its time is over.");
}

/* So that no transaction waits for argon2. Refusals come first, for who is refused shall not cost a hash. */
static int prepare(struct sql *db, struct command *command, struct err *err)
{
    unsigned char *key = arena_alloc(command->arena, SECRET_SIZE);
    if (may_register(NULL, command, err) != 0 || may_enter(db, command, err) != 0)
        return -1;
    if (key == NULL)
        return fail(err, ERR_INTERNAL, "no room for a key");
    crypt_random(key, SECRET_SIZE);
    command->key = key;
    return user_hash_password(command, err);
}

/* An invitation is good for one account. */
static void use_invitation(struct sql_batch *batch, const struct command *command)
{
    unsigned char hash[SHA256_SIZE];
    struct str invitation = json_string(command->payload, "invitation");
    bool needed = strcmp(command->conf->auth_registration, "invitation") == 0 && !user_administers(command->actor);
    if (!needed || invitation.data == NULL || !secret_hash(INVITATION_KIND, invitation.data, hash))
        return;
    const char *bytes = arena_copy(sql_batch_arena(batch), (const char *)hash, sizeof hash);
    sql_batch_add(batch,
                  "DELETE FROM invitations WHERE hash = ? AND expires_at > ?; IF ROW_COUNT() = 0 THEN SIGNAL SQLSTATE "
                  "'45000' SET MESSAGE_TEXT = 'invitation'; END IF",
                  SQL_ARGS(SQL_BYTES(bytes, sizeof hash), sql_moment(batch, command->now)));
}

static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    use_invitation(batch, command);
    seal_key_add(batch, command->new_id, command->key);
    sql_batch_add(batch, "INSERT INTO credentials (user_id, password_hash) VALUES (?, ?)",
                  SQL_ARGS(SQL_TEXT(command->new_id), SQL_TEXT((const char *)command->aside)));
    return 0;
}

const struct command_type REGISTER_USER = {
    .name = "register_user",
    .summary = "Opens an account.",
    .model = &USERS,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .secrets = true,
    .creates = true,
    .check = user_check,
    .prepare = prepare,
    .vouched = true,
    .authorise = may_register,
    .decide = decide,
    .taken = user_taken,
    .beside = beside,
};
