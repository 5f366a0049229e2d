/* What each event makes of a user. */
#include "base/json.h"
#include "domain/user.h"

#include <string.h>

static const char *member(const struct envelope *event, struct arena *arena, const char *name, struct err *err)
{
    struct str text = json_text(arena, json_member(event->data, name));
    if (text.data == NULL)
        fail(err, ERR_INTERNAL, "position %lld: this %.64s event lacks %s", (long long)event->position, event->type,
             name);
    return text.data;
}

static const char *id_of(const struct envelope *event, struct arena *arena)
{
    return arena_copy_z(arena, event->stream + strlen("user-"));
}

int user_registered(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    *user = (struct user){.id = id_of(event, arena),
                          .username = member(event, arena, "username", err),
                          .email = member(event, arena, "email", err),
                          .permissions = "",
                          .created_at = event->recorded_at,
                          .updated_at = event->recorded_at,
                          .last_login_at = INT64_MIN};
    return user->id != NULL && user->username != NULL && user->email != NULL ? 0 : -1;
}

/* ["a","b"] as «a b». */
static const char *words(struct arena *arena, struct str array)
{
    char *text = arena_alloc(arena, array.len + 1), *out = text;
    for (size_t i = 0; text != NULL && i < array.len; i++) {
        if (array.data[i] == ',')
            *out++ = ' ';
        else if (strchr("[]\" ", array.data[i]) == NULL)
            *out++ = array.data[i];
    }
    return array.len > 1 && array.data[0] == '[' ? text : NULL;
}

int user_imported(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    *user = (struct user){.id = id_of(event, arena),
                          .username = member(event, arena, "username", err),
                          .email = member(event, arena, "email", err),
                          .permissions = words(arena, json_member(event->data, "permissions")),
                          .created_at = json_moment(json_member(event->data, "created_at")),
                          .updated_at = json_moment(json_member(event->data, "updated_at")),
                          .last_login_at = json_moment(json_member(event->data, "last_login_at"))};
    if (user->id == NULL || user->username == NULL || user->email == NULL)
        return -1;
    if (user->permissions == NULL || user->created_at == INT64_MIN || user->updated_at == INT64_MIN)
        return fail(err, ERR_INTERNAL, "position %lld: this user.imported event lacks a member",
                    (long long)event->position);
    return 0;
}

int user_permission_granted(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    const char *permission = member(event, arena, "permission", err);
    if (permission == NULL)
        return -1;
    user->permissions = user->permissions == NULL || user->permissions[0] == '\0'
                            ? permission
                            : arena_printf(arena, "%s %s", user->permissions, permission);
    user->updated_at = event->recorded_at;
    return user->permissions != NULL ? 0 : fail(err, ERR_INTERNAL, "no room for permissions");
}

int user_logged_in(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    (void)arena;
    (void)err;
    user->last_login_at = event->recorded_at;
    return 0;
}
