/* set_permissions → user.permission_granted and user.permission_revoked, one for each that changes. */
#include "domain/user.h"

#include <string.h>

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "permissions", .type = FIELD_TEXTS, .required = true, .least = 1, .most = 40, .items = 5},
};

static int may_set(const void *state, const struct command *command, struct err *err)
{
    if (user_may_change(state, command, err) != 0)
        return -1;
    return actor_may(command->actor, "user_admin") ? 0 : fail(err, ERR_DENIED, "Only user_admin grants permissions.");
}

static bool is_wanted(struct json_object *permissions, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(permissions); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(permissions, i)), name) == 0)
            return true;
    return false;
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const struct user *user = state;
    const struct actor as_is = {.permissions = user->permissions};
    struct json_object *permissions = json_object_object_get(command->payload, "permissions");
    const char *audience = USERS.audience(state, command->arena);
    for (const char *at = ALL_PERMISSIONS; *at != '\0';) {
        size_t len = strcspn(at, " ");
        const char *name = arena_copy(command->arena, at, len);
        at += len + strspn(at + len, " ");
        if (name == NULL)
            return fail(err, ERR_INTERNAL, "no room for an event");
        bool has = actor_may(&as_is, name), wants = is_wanted(permissions, name);
        if (has != wants &&
            !decision_add(decision, wants ? "user.permission_granted" : "user.permission_revoked", audience,
                          str_of(arena_printf(command->arena, "{\"permission\":\"%s\"}", name))))
            return fail(err, ERR_INTERNAL, "no room for an event");
    }
    return 0;
}

/* Who may invite nobody has nobody invited. */
static int beside(struct sql_batch *batch, const struct command *command, struct err *err)
{
    (void)err;
    if (!is_wanted(json_object_object_get(command->payload, "permissions"), "user_admin"))
        sql_batch_add(batch, "DELETE FROM invitations WHERE inviter = ?", SQL_ARGS(SQL_TEXT(command->target)));
    return 0;
}

const struct command_type SET_PERMISSIONS = {
    .name = "set_permissions",
    .summary = "Gives an account these permissions, and no others.",
    .model = &USERS,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .needs_version = true,
    .check = user_check,
    .vouched = true,
    .authorise = may_set,
    .decide = decide,
    .beside = beside,
};
