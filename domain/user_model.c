/* The read model of the user streams: the table `users`, a user as JSON, and the queries. */
#include "base/json.h"
#include "domain/user.h"
#include "events/seal.h"

#include <inttypes.h>
#include <string.h>

static void add_text(struct buf *buf, const char *name, const char *text)
{
    buf_printf(buf, ",\"%s\":", name);
    text != NULL ? buf_json_z(buf, text) : buf_puts(buf, "null");
}

static void add_rest(struct buf *buf, const struct user *user)
{
    buf_puts(buf, ",\"permissions\":");
    buf_words(buf, user->permissions);
    buf_printf(buf, ",\"version\":%" PRId64, user->version);
    buf_puts(buf, ",\"created_at\":");
    buf_moment(buf, user->created_at);
    buf_puts(buf, ",\"updated_at\":");
    buf_moment(buf, user->updated_at);
    buf_puts(buf, ",\"last_login_at\":");
    buf_moment(buf, user->last_login_at);
}

static void json(struct buf *buf, const void *state, const struct actor *actor)
{
    const struct user *user = state;
    (void)actor;
    buf_printf(buf, "{\"id\":\"%s\"", user->id);
    add_text(buf, "username", user->username);
    add_text(buf, "email", user->email);
    add_rest(buf, user);
    buf_puts(buf, "}");
}

static void whole_json(struct buf *buf, const void *state)
{
    const struct user *user = state;
    buf_printf(buf, "{\"id\":\"%s\",\"sealed\":", user->id);
    buf_json(buf, user->sealed.data, user->sealed.len);
    add_rest(buf, user);
    buf_puts(buf, ",\"renamed_at\":");
    buf_moment(buf, user->renamed_at);
    buf_puts(buf, ",\"erased_at\":");
    buf_moment(buf, user->erased_at);
    buf_puts(buf, "}");
}

/* What is sealed begins with no brace; from before there were keys it is the JSON itself. */
static int derive(void *state, const unsigned char *key, struct arena *arena, struct err *err)
{
    struct user *user = state;
    struct str clear = user->sealed;
    user->username = user->email = NULL;
    if (clear.len == 0 || clear.data[0] != '{')
        clear = key != NULL && clear.len > 0 ? seal_open(arena, key, clear) : (struct str){NULL, 0};
    if (clear.data == NULL)
        return arena_exhausted(arena) ? fail(err, ERR_INTERNAL, "no room for a user") : 0;
    user->username = json_text(arena, json_member(clear, "username")).data;
    user->email = json_text(arena, json_member(clear, "email")).data;
    return 0;
}

static const char *about(const void *state, const struct actor *actor)
{
    const struct user *user = state;
    (void)actor;
    return user->username != NULL || user->email != NULL ? user->id : NULL;
}

static const char *audience(const void *state, struct arena *arena)
{
    const struct user *user = state;
    return arena_printf(arena, "user:%s permission:user_admin", user->id);
}

#define MEMBER(name, type, derived)                                                                                    \
    {                                                                                                                  \
#name, type, offsetof(struct user, name), derived                                                              \
    }

static const struct column COLUMNS[] = {
    MEMBER(id, COLUMN_TEXT, false),
    MEMBER(sealed, COLUMN_STR, false),
    MEMBER(permissions, COLUMN_TEXT, false),
    MEMBER(version, COLUMN_NUMBER, false),
    MEMBER(created_at, COLUMN_MOMENT, false),
    MEMBER(updated_at, COLUMN_MOMENT, false),
    MEMBER(renamed_at, COLUMN_MOMENT, false),
    MEMBER(last_login_at, COLUMN_MOMENT, false),
    MEMBER(erased_at, COLUMN_MOMENT, false),
    MEMBER(username, COLUMN_TEXT, true),
    MEMBER(email, COLUMN_TEXT, true),
};

/* An API token changes no account; log_in and what ends a session have no session to ask for. */
static void vouch(struct sql_batch *batch, const struct command *command)
{
    const struct actor *actor = command->actor;
    if (actor->user_id == NULL || actor->session_id == NULL || actor->scopes != NULL)
        return;
    sql_batch_add(batch,
                  "IF NOT EXISTS (SELECT 1 FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.id = ? AND "
                  "s.user_id = ? AND (? = 0 OR CONCAT(' ', u.permissions, ' ') LIKE '% user_admin %') LOCK IN SHARE "
                  "MODE) THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '" ACTOR_CHANGED "'; END IF",
                  SQL_ARGS(SQL_TEXT(actor->session_id), SQL_TEXT(actor->user_id),
                           SQL_INT(actor_may(actor, "user_admin") ? 1 : 0)));
}

const struct read_model USERS = {
    .name = "users",
    .category = "user",
    .path = "/api/users",
    .imported = "user.imported",
    .direct = offsetof(struct conf, features_accounts),
    .columns = COLUMNS,
    .column_count = sizeof COLUMNS / sizeof COLUMNS[0],
    .state_size = sizeof(struct user),
    .json = json,
    .whole_json = whole_json,
    .vouch = vouch,
    .about = about,
    .audience = audience,
    .sealed = true,
    .derive = derive,
};

static int find(struct sql *db, struct arena *arena, const char *text, const char *value, struct sql_rows *rows,
                struct user *user, struct err *err)
{
    if (text == NULL)
        return fail(err, ERR_INTERNAL, "no room for a user");
    if (sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(value)), rows, err) != 0)
        return -1;
    if (rows->count != 1)
        return fail(err, ERR_ABSENT, "There is no such user.");
    row_state(&USERS, rows, 0, user);
    return 0;
}

int user_find(struct sql *db, struct arena *arena, const char *name, struct user *user, const char **hash,
              struct err *err)
{
    struct sql_rows rows;
    /* In one question, so that the time does not tell whether there is such a user. A name holds no @, an address does.
     */
    const char *text = row_select_more(&USERS, arena, "password_hash", "users LEFT JOIN credentials ON user_id = id",
                                       strchr(name, '@') != NULL ? "WHERE email = ?" : "WHERE username = ?");
    if (find(db, arena, text, name, &rows, user, err) != 0)
        return -1;
    if (hash == NULL)
        return 0;
    *hash = SQL_CELL(&rows, 0, rows.columns - 1).data;
    return *hash != NULL ? 0 : fail(err, ERR_ABSENT, "The user has no password.");
}

int user_find_id(struct sql *db, struct arena *arena, const char *id, const struct actor *reader, struct user *user,
                 struct err *err)
{
    bool may = actor_may(reader, "user_admin") || (reader->user_id != NULL && strcmp(reader->user_id, id) == 0);
    struct sql_rows rows;
    if (!may || !id_valid(id, strlen(id)))
        return fail(err, ERR_ABSENT, "There is no such user.");
    if (find(db, arena, row_select(&USERS, arena, "users", "WHERE id = ?"), id, &rows, user, err) != 0)
        return -1;
    return user->erased_at == INT64_MIN ? 0 : fail(err, ERR_GONE, "The account was erased.");
}
