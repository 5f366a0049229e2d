/* The projections of the user streams into the table `users`, and its query. */
#include "base/json.h"
#include "domain/user.h"

#include <string.h>

static const char *id_of(const struct envelope *event)
{
    return event->stream + strlen("user-");
}

/* The string of a member of the event's data, in the arena. */
static const char *member(const struct envelope *event, struct arena *arena, const char *name, struct err *err)
{
    struct json_object *data = json_read(event->data.data, event->data.len, err);
    struct str text = data != NULL ? json_string(data, name) : (struct str){NULL, 0};
    const char *copy = text.data != NULL ? arena_copy(arena, text.data, text.len) : NULL;
    json_object_put(data);
    if (copy == NULL)
        fail(err, ERR_INTERNAL, "a %.64s event lacks %s", event->type, name);
    return copy;
}

int user_registered(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err)
{
    const char *username = member(event, arena, "username", err), *email = member(event, arena, "email", err);
    struct sql_arg moment = sql_moment(batch, event->recorded_at);
    if (username == NULL || email == NULL)
        return -1;
    sql_batch_add(
        batch,
        "INSERT INTO users (id, username, email, permissions, version, created_at, updated_at) "
        "VALUES (?, ?, ?, '', ?, ?, ?)",
        SQL_ARGS(SQL_TEXT(id_of(event)), SQL_TEXT(username), SQL_TEXT(email), SQL_INT(event->version), moment, moment));
    return 0;
}

int user_permission_granted(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err)
{
    const char *permission = member(event, arena, "permission", err);
    if (permission == NULL)
        return -1;
    sql_batch_add(batch,
                  "UPDATE users SET permissions = TRIM(CONCAT(permissions, ' ', ?)), version = ?, updated_at = ? "
                  "WHERE id = ?",
                  SQL_ARGS(SQL_TEXT(permission), SQL_INT(event->version), sql_moment(batch, event->recorded_at),
                           SQL_TEXT(id_of(event))));
    return 0;
}

int user_logged_in(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err)
{
    (void)arena;
    (void)err;
    sql_batch_add(batch, "UPDATE users SET version = ?, last_login_at = ? WHERE id = ?",
                  SQL_ARGS(SQL_INT(event->version), sql_moment(batch, event->recorded_at), SQL_TEXT(id_of(event))));
    return 0;
}

int user_find(struct sql *db, struct arena *arena, const char *name, struct user *user, struct err *err)
{
    struct sql_rows rows;
    /* A name holds no @ and an address does, so at most one row is found. */
    if (sql_select(db, arena,
                   "SELECT u.id, u.username, u.email, u.permissions, c.password_hash FROM users AS u "
                   "JOIN credentials AS c ON c.user_id = u.id WHERE u.username = ? OR u.email = ? LIMIT 1",
                   SQL_ARGS(SQL_TEXT(name), SQL_TEXT(name)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_ABSENT, "There is no such user.");
    *user = (struct user){SQL_CELL(&rows, 0, 0).data, SQL_CELL(&rows, 0, 1).data, SQL_CELL(&rows, 0, 2).data,
                          SQL_CELL(&rows, 0, 3).data, SQL_CELL(&rows, 0, 4).data};
    return 0;
}
