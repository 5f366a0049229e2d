/* The read model of the user streams: the table `users`, a user as JSON, and the query by name. */
#include "domain/user.h"

#include <inttypes.h>
#include <string.h>

static void add_members(struct buf *buf, const struct user *user)
{
    buf_printf(buf, "{\"id\":\"%s\",\"username\":", user->id);
    buf_json_z(buf, user->username);
    buf_puts(buf, ",\"email\":");
    buf_json_z(buf, user->email);
    buf_puts(buf, ",\"permissions\":");
    buf_words(buf, user->permissions);
    buf_printf(buf, ",\"version\":%" PRId64, user->version);
    buf_puts(buf, ",\"created_at\":");
    buf_moment(buf, user->created_at);
    buf_puts(buf, ",\"updated_at\":");
    buf_moment(buf, user->updated_at);
}

static void json(struct buf *buf, const void *state, const struct actor *actor)
{
    (void)actor;
    add_members(buf, state);
    buf_puts(buf, "}");
}

static void whole_json(struct buf *buf, const void *state)
{
    const struct user *user = state;
    add_members(buf, user);
    buf_puts(buf, ",\"last_login_at\":");
    buf_moment(buf, user->last_login_at);
    buf_puts(buf, "}");
}

static const char *audience(const void *state, struct arena *arena)
{
    const struct user *user = state;
    return arena_printf(arena, "user:%s permission:user_admin", user->id);
}

#define COLUMN(name, type)                                                                                             \
    {                                                                                                                  \
#name, type, offsetof(struct user, name), false                                                                \
    }

static const struct column COLUMNS[] = {
    COLUMN(id, COLUMN_TEXT),           COLUMN(username, COLUMN_TEXT),        COLUMN(email, COLUMN_TEXT),
    COLUMN(permissions, COLUMN_TEXT),  COLUMN(version, COLUMN_NUMBER),       COLUMN(created_at, COLUMN_MOMENT),
    COLUMN(updated_at, COLUMN_MOMENT), COLUMN(last_login_at, COLUMN_MOMENT),
};

const struct read_model USERS = {
    .name = "users",
    .category = "user",
    .imported = "user.imported",
    .direct = offsetof(struct conf, features_accounts),
    .columns = COLUMNS,
    .column_count = sizeof COLUMNS / sizeof COLUMNS[0],
    .state_size = sizeof(struct user),
    .json = json,
    .whole_json = whole_json,
    .audience = audience,
};

int user_find(struct sql *db, struct arena *arena, const char *name, struct user *user, struct err *err)
{
    struct sql_rows rows;
    /* A name holds no @, and an address does. */
    const char *where = strchr(name, '@') != NULL ? "WHERE email = ?" : "WHERE username = ?";
    const char *text = row_select(&USERS, arena, "users", where);
    const char *secret = "SELECT password_hash FROM credentials WHERE user_id = ?";
    if (text == NULL)
        return fail(err, ERR_INTERNAL, "no room for a user");
    if (sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(name)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_ABSENT, "There is no such user.");
    row_state(&USERS, &rows, 0, user);
    if (sql_select(db, arena, secret, SQL_ARGS(SQL_TEXT(user->id)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_ABSENT, "The user has no password.");
    user->password_hash = SQL_CELL(&rows, 0, 0).data;
    return 0;
}
