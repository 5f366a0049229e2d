/* Invitations in their table. See session.h. */
#include "base/buf.h"
#include "base/clock.h"
#include "domain/session.h"
#include "events/eventlog.h"

#include <string.h>

void invitation_insert(struct sql_batch *batch, const char *id, const char *inviter, const unsigned char *hash,
                       int64_t now, int64_t seconds)
{
    sql_batch_add(batch, "INSERT INTO invitations (hash, created_at, expires_at, id, inviter) VALUES (?, ?, ?, ?, ?)",
                  SQL_ARGS(SQL_BYTES(hash, SHA256_SIZE), sql_moment(batch, now),
                           sql_moment(batch, now + seconds * 1000000), SQL_TEXT(id), SQL_TEXT(inviter)));
}

int invitation_add(struct sql *db, struct arena *arena, const struct conf *conf, const unsigned char *hash,
                   int64_t seconds, char id[ID_TEXT], struct err *err)
{
    struct envelope event = {.version = 1,
                             .type = "invitation.created",
                             .audience = "permission:user_admin",
                             .metadata = STR("{\"source\":\"courantctl\"}"),
                             .schema = 1,
                             .recorded_at = clock_now()};
    id_new(event.id);
    id_new(id);
    event.stream = arena_printf(arena, "invitation-%s", id);
    event.data = str_of(arena_printf(arena, "{\"invitation_id\":\"%s\"}", id));
    struct sql_batch *batch = sql_batch_new(arena);
    if (event.stream == NULL || event.data.data == NULL || batch == NULL)
        return fail(err, ERR_INTERNAL, "no room for an invitation");
    invitation_insert(batch, id, NULL, hash, event.recorded_at, seconds);
    event_digest(&event, event.digest);
    if (!read_model_direct(&USERS, conf))
        eventlog_append(batch, &event, 1, 0);
    return sql_batch_commit(db, batch, NULL, err);
}

int invitation_find(struct sql *db, struct arena *arena, const char *id, struct err *err)
{
    struct sql_rows rows = {0};
    if (id_valid(id, strlen(id)) &&
        sql_select(db, arena, "SELECT 1 FROM invitations WHERE id = ?", SQL_ARGS(SQL_TEXT(id)), &rows, err) != 0)
        return -1;
    return rows.count > 0 ? 0 : fail(err, ERR_ABSENT, "There is no such invitation.");
}

int invitation_list(struct sql *db, struct part *part, struct buf *buf, struct err *err)
{
    struct sql_rows rows;
    char now[CLOCK_TEXT];
    clock_sql(clock_now(), now);
    if (sql_select(db, buf->arena,
                   "SELECT id, inviter, created_at, expires_at FROM invitations WHERE id < ? AND expires_at > ? ORDER "
                   "BY id DESC LIMIT ?",
                   SQL_ARGS(part_start(part), SQL_TEXT(now), SQL_INT((int64_t)part->limit + 1)), &rows, err) != 0)
        return -1;
    for (size_t i = 0, count = part_end(part, &rows); i < count; i++) {
        const char *inviter = SQL_CELL(&rows, i, 1).data;
        buf_printf(buf, "%s{\"id\":\"%s\",\"inviter\":", i > 0 ? "," : "", SQL_CELL(&rows, i, 0).data);
        inviter != NULL ? buf_json_z(buf, inviter) : buf_puts(buf, "null");
        part_moment(buf, "created_at", SQL_CELL(&rows, i, 2));
        part_moment(buf, "expires_at", SQL_CELL(&rows, i, 3));
        buf_puts(buf, "}");
    }
    return 0;
}
