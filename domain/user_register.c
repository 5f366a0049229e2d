/* register_user → user.registered, and user.permission_granted for each permission. */
#include "domain/user.h"

#include "base/buf.h"
#include "base/crypt.h"
#include "base/json.h"

#include <string.h>

const char ALL_PERMISSIONS[] = "article_edit_any article_delete_any link_edit_any user_admin audit_read";

static const struct field FIELDS[] = {
    {.name = "username", .type = FIELD_TEXT, .required = true, .least = 2, .most = 40},
    {.name = "email", .type = FIELD_TEXT, .required = true, .least = 3, .most = 254},
    {.name = "password", .type = FIELD_TEXT, .required = true, .least = 8, .most = 256},
    {.name = "permissions", .type = FIELD_TEXTS, .least = 1, .most = 40, .items = 5},
};

static int may_register(const void *state, const struct command *command, struct err *err)
{
    (void)state;
    if (json_object_object_get(command->payload, "permissions") != NULL && !actor_may(command->actor, "user_admin"))
        return fail(err, ERR_DENIED, "Only user_admin grants permissions.");
    return 0;
}

/* Names stand in URLs, cookies and lists; an @ would make one look like an address. */
static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] <= ' ' || strchr("@/\\\"'<>&;\x7f", name.data[i]) != NULL)
            return false;
    return true;
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

static int check(const struct command *command, struct json_object *permissions, struct err *err)
{
    if (!name_ok(json_string(command->payload, "username")))
        return fail(err, ERR_INVALID, "The username has a space or one of @/\\\"'<>&; in it.");
    if (!email_ok(json_string(command->payload, "email")))
        return fail(err, ERR_INVALID, "The email is not an address.");
    for (size_t i = 0; permissions != NULL && i < json_object_array_length(permissions); i++)
        if (!permission_ok(json_object_get_string(json_object_array_get_idx(permissions, i))))
            return fail(err, ERR_INVALID, "There is no such permission; there are: %s", ALL_PERMISSIONS);
    return 0;
}

static struct str registered(const struct command *command)
{
    struct buf buf;
    struct str username = json_string(command->payload, "username"), email = json_string(command->payload, "email");
    buf_init(&buf, command->arena);
    buf_printf(&buf, "{\"id\":\"%s\",\"username\":", command->new_id);
    buf_json(&buf, username.data, username.len);
    buf_puts(&buf, ",\"email\":");
    buf_json(&buf, email.data, email.len);
    buf_puts(&buf, "}");
    return buf_str(&buf);
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    (void)state;
    struct json_object *permissions = json_object_object_get(command->payload, "permissions");
    const char *audience = USERS.audience(&(struct user){.id = command->new_id}, command->arena);
    bool ok = decision_add(decision, "user.registered", audience, registered(command));
    for (size_t i = 0; ok && permissions != NULL && i < json_object_array_length(permissions); i++) {
        struct buf buf;
        buf_init(&buf, command->arena);
        buf_printf(&buf, "{\"permission\":\"%s\"}", json_object_get_string(json_object_array_get_idx(permissions, i)));
        ok = decision_add(decision, "user.permission_granted", audience, buf_str(&buf));
    }
    return ok ? 0 : fail(err, ERR_INTERNAL, "the registration is too large");
}

static const char *taken(const char *key)
{
    if (strcmp(key, "username") == 0)
        return "The username is taken.";
    return strcmp(key, "email") == 0 ? "The email is taken." : NULL;
}

/* So that no transaction waits for argon2. Refusals come first, for who is refused shall not cost a hash. */
static int prepare(struct sql *db, struct command *command, struct err *err)
{
    (void)db;
    struct str password = json_string(command->payload, "password");
    char *hash = arena_alloc(command->arena, PASSWORD_HASH_SIZE);
    command->aside = hash;
    if (may_register(NULL, command, err) != 0 ||
        check(command, json_object_object_get(command->payload, "permissions"), err) != 0)
        return -1;
    if (hash == NULL)
        return fail(err, ERR_INTERNAL, "no room for a hash");
    return password_hash(password.data, password.len, (unsigned long long)command->conf->auth_argon2_ops,
                         (size_t)command->conf->auth_argon2_memory, hash, err);
}

static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
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
    .creates = true,
    .prepare = prepare,
    .authorise = may_register,
    .decide = decide,
    .taken = taken,
    .beside = beside,
};
