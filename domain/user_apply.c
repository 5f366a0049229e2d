/* What each event makes of a user, and the upcasters of older forms. */
#include "base/buf.h"
#include "base/json.h"
#include "domain/user.h"

#include <string.h>

static int lacking(const struct envelope *event, const char *name, struct err *err)
{
    return fail(err, ERR_DAMAGED, "position %lld: this %.64s event lacks %s", (long long)event->position, event->type,
                name);
}

static const char *member(const struct envelope *event, struct arena *arena, const char *name, struct err *err)
{
    struct str text = json_text(arena, json_member(event->data, name));
    if (text.data == NULL)
        lacking(event, name, err);
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
                          .sealed = json_text(arena, json_member(event->data, "sealed")),
                          .permissions = "",
                          .created_at = event->recorded_at,
                          .updated_at = event->recorded_at,
                          .renamed_at = INT64_MIN,
                          .last_login_at = INT64_MIN,
                          .erased_at = INT64_MIN};
    return user->id != NULL && user->sealed.data != NULL ? 0 : lacking(event, "sealed", err);
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
                          .sealed = json_text(arena, json_member(event->data, "sealed")),
                          .permissions = words(arena, json_member(event->data, "permissions")),
                          .created_at = json_moment(json_member(event->data, "created_at")),
                          .updated_at = json_moment(json_member(event->data, "updated_at")),
                          .last_login_at = json_moment(json_member(event->data, "last_login_at")),
                          .erased_at = json_moment(json_member(event->data, "erased_at"))};
    if (user->id == NULL || user->sealed.data == NULL || user->permissions == NULL || user->created_at == INT64_MIN ||
        user->updated_at == INT64_MIN)
        return lacking(event, "a member", err);
    /* Older ones do not say when. */
    struct str renamed = json_member(event->data, "renamed_at");
    if (renamed.data != NULL)
        user->renamed_at = json_moment(renamed);
    else
        user->renamed_at = user->updated_at > user->created_at ? user->updated_at : INT64_MIN;
    return 0;
}

int user_updated(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    user->sealed = json_text(arena, json_member(event->data, "sealed"));
    user->updated_at = event->recorded_at;
    /* Older ones do not say whether the name is another one. */
    if (!str_is(json_member(event->data, "renamed"), "false"))
        user->renamed_at = event->recorded_at;
    return user->sealed.data != NULL ? 0 : lacking(event, "sealed", err);
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

int user_permission_revoked(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    struct buf left;
    const char *permission = member(event, arena, "permission", err);
    if (permission == NULL)
        return -1;
    buf_init(&left, arena);
    for (const char *at = user->permissions; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (len != strlen(permission) || memcmp(at, permission, len) != 0) {
            buf_puts(&left, left.len > 0 ? " " : "");
            buf_add(&left, at, len);
        }
        at += len + strspn(at + len, " ");
    }
    buf_add(&left, "", 1);
    user->permissions = left.data;
    user->updated_at = event->recorded_at;
    return left.failed ? fail(err, ERR_INTERNAL, "no room for permissions") : 0;
}

int user_logged_in(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    (void)arena;
    (void)err;
    user->last_login_at = event->recorded_at;
    return 0;
}

int user_noted(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    (void)state;
    (void)event;
    (void)arena;
    (void)err;
    return 0;
}

int user_erased(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct user *user = state;
    (void)arena;
    (void)err;
    user->sealed = STR("");
    user->permissions = "";
    user->username = user->email = NULL;
    user->updated_at = user->renamed_at = user->erased_at = event->recorded_at;
    return 0;
}

/* Schema 1 had name and address in the clear; so they stay, as the JSON that is sealed since. */
static int clear_2(const struct envelope *event, struct arena *arena, struct str *data, struct err *err)
{
    struct str username = json_member(event->data, "username"), email = json_member(event->data, "email");
    struct buf buf;
    if (username.data == NULL || email.data == NULL || event->data.len < 3)
        return lacking(event, "username or email", err);
    struct str clear = str_of(arena_printf(arena, "{\"username\":%.*s,\"email\":%.*s}", (int)username.len,
                                           username.data, (int)email.len, email.data));
    buf_init(&buf, arena);
    buf_add(&buf, event->data.data, event->data.len - 1);
    buf_puts(&buf, ",\"sealed\":");
    buf_json(&buf, clear.data != NULL ? clear.data : "", clear.len);
    buf_puts(&buf, "}");
    *data = buf_str(&buf);
    return clear.data != NULL && !buf.failed ? 0 : fail(err, ERR_INTERNAL, "no room for an event");
}

const upcaster USER_REGISTERED_UP[] = {clear_2};
const upcaster USER_IMPORTED_UP[] = {clear_2};
