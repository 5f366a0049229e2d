/* The event log. See eventlog.h. */
#include "events/eventlog.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"

#include <inttypes.h>
#include <string.h>

enum { EVENTS_MOST = 16, PAGE_FIRST = 16 };

int eventlog_head(struct sql *db, struct arena *arena, struct log_head *head, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(db, arena, "SELECT position, hash, names FROM log_head WHERE one = 1", NULL, 0, &rows, err) != 0)
        return -1;
    if (rows.count != 1 || SQL_CELL(&rows, 0, 1).len != SHA256_SIZE)
        return fail(err, ERR_INTERNAL, "log_head has no row: the database is not migrated");
    head->position = sql_number(SQL_CELL(&rows, 0, 0));
    head->names = sql_number(SQL_CELL(&rows, 0, 2));
    memcpy(head->hash, SQL_CELL(&rows, 0, 1).data, SHA256_SIZE);
    return 0;
}

/* A text without a NUL: what comes after one would not be seen. */
static bool is_whole(struct str text)
{
    return text.data != NULL && strlen(text.data) == text.len;
}

static bool take_row(const struct sql_rows *rows, size_t i, struct envelope *event)
{
    struct str id = SQL_CELL(rows, i, 1), digest = SQL_CELL(rows, i, 9), hash = SQL_CELL(rows, i, 10);
    if (id.len != ID_LEN || digest.len != SHA256_SIZE || hash.len != SHA256_SIZE || !is_whole(SQL_CELL(rows, i, 2)) ||
        !is_whole(SQL_CELL(rows, i, 4)) || !is_whole(SQL_CELL(rows, i, 5)))
        return false;
    *event = (struct envelope){.position = sql_number(SQL_CELL(rows, i, 0)),
                               .stream = SQL_CELL(rows, i, 2).data,
                               .version = sql_number(SQL_CELL(rows, i, 3)),
                               .type = SQL_CELL(rows, i, 4).data,
                               .audience = SQL_CELL(rows, i, 5).data,
                               .data = SQL_CELL(rows, i, 6),
                               .metadata = SQL_CELL(rows, i, 7),
                               .recorded_at = clock_parse(SQL_CELL(rows, i, 8).data, SQL_CELL(rows, i, 8).len)};
    event->schema = event_schema(event->metadata);
    memcpy(event->id, id.data, ID_TEXT);
    memcpy(event->digest, digest.data, SHA256_SIZE);
    memcpy(event->hash, hash.data, SHA256_SIZE);
    return true;
}

#define EVENTS                                                                                                         \
    "SELECT position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash FROM events "

static int take_rows(const struct sql_rows *rows, struct arena *arena, struct event_list *list, struct err *err)
{
    *list = (struct event_list){.events = arena_alloc(arena, (rows->count + 1) * sizeof *list->events)};
    if (list->events == NULL)
        return fail(err, ERR_INTERNAL, "no room for %zu events", rows->count);
    size_t count = 0;
    for (; count < rows->count; count++)
        if (!take_row(rows, count, &list->events[count]))
            return fail(err, ERR_DAMAGED, "position %.20s: the event is damaged", SQL_CELL(rows, count, 0).data);
    list->count = count;
    return 0;
}

/*
 * The events of a page of positions, without data where that would be more than so many bytes together. The row of the
 * page's first position begins the sum; where it is not visible, nothing that comes behind is taken. sure: has its data
 * in any case, as those before it.
 */
static int select_page(struct sql *db, struct arena *arena, int64_t after, size_t count, int64_t bytes, int64_t sure,
                       struct sql_rows *rows, struct err *err)
{
    return sql_select(
        db, arena,
        "SELECT position, id, stream, version, type, audience, IF((@courant_bytes := IF(position = ?, 0, "
        "@courant_bytes) + LENGTH(data) + LENGTH(metadata)) <= ? OR position <= ?, data, NULL), "
        "metadata, recorded_at, digest, hash FROM events FORCE INDEX (PRIMARY) WHERE position > ? AND "
        "position <= ? AND position <= (SELECT position FROM log_head WHERE one = 1) ORDER BY position",
        SQL_ARGS(SQL_INT(after + 1), SQL_INT(bytes), SQL_INT(sure), SQL_INT(after), SQL_INT(after + (int64_t)count)),
        rows, err);
}

/* Adds what comes next of a page to the list: 1 all of `asked`, 0 the list ends here. */
static int take_page(const struct sql_rows *rows, int64_t after, size_t asked, struct event_list *list, int64_t *bytes,
                     struct err *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct envelope *event = &list->events[list->count];
        if (sql_number(SQL_CELL(rows, i, 0)) != after + 1 + (int64_t)i)
            return 0;
        if (SQL_CELL(rows, i, 6).data == NULL) {
            list->more = true;
            return 0;
        }
        if (!take_row(rows, i, event))
            return fail(err, ERR_DAMAGED, "position %.20s: the event is damaged", SQL_CELL(rows, i, 0).data);
        *bytes -= (int64_t)(event->data.len + event->metadata.len);
        list->count++;
    }
    return rows->count == asked;
}

/*
 * Page by page, each twice as long as the one before: what a page has too much is looked at in vain, and most reads are
 * over with the first.
 */
int eventlog_read(struct sql *db, struct arena *arena, int64_t after, size_t limit, struct event_list *list,
                  struct err *err)
{
    struct sql_rows rows;
    int64_t bytes = EVENTS_BYTES, sure = after + 2;
    int status = 1;
    *list = (struct event_list){.events = arena_alloc(arena, (limit + 1) * sizeof *list->events)};
    if (list->events == NULL)
        return fail(err, ERR_INTERNAL, "no room for %zu events", limit);
    for (size_t page = PAGE_FIRST; status > 0 && list->count < limit; page *= 2) {
        size_t asked = page < limit - list->count ? page : limit - list->count;
        int64_t from = after + (int64_t)list->count;
        status = select_page(db, arena, from, asked, bytes, sure, &rows, err);
        if (status == 0)
            status = take_page(&rows, from, asked, list, &bytes, err);
    }
    list->more = list->more || status > 0;
    return status < 0 ? -1 : 0;
}

/* Rows of events at some positions. One statement for any number: it is prepared once. No event has position 0. */
static int select_at(struct sql *db, struct arena *arena, const char *what, const int64_t *positions, size_t count,
                     struct sql_rows *rows, struct err *err)
{
    struct sql_arg args[EVENTLOG_AT_MOST];
    const char *places = sql_places(arena, EVENTLOG_AT_MOST);
    const char *text = arena_printf(arena, "%sWHERE position IN %s ORDER BY position", what, places);
    if (text == NULL || places == NULL || count > EVENTLOG_AT_MOST)
        return fail(err, ERR_INTERNAL, "no room for %zu events", count);
    for (size_t i = 0; i < EVENTLOG_AT_MOST; i++)
        args[i] = SQL_INT(i < count ? positions[i] : 0);
    return sql_select(db, arena, text, args, EVENTLOG_AT_MOST, rows, err);
}

int eventlog_read_at(struct sql *db, struct arena *arena, const int64_t *positions, size_t count, int64_t bytes,
                     struct event_list *list, struct err *err)
{
    struct sql_rows rows;
    size_t fit = 0;
    *list = (struct event_list){0};
    if (count == 0)
        return 0;
    if (select_at(db, arena, "SELECT position, LENGTH(data) + LENGTH(metadata) FROM events ", positions, count, &rows,
                  err) != 0)
        return -1;
    for (; fit < rows.count && sql_number(SQL_CELL(&rows, fit, 0)) == positions[fit]; fit++) {
        bytes -= sql_number(SQL_CELL(&rows, fit, 1));
        if (fit > 0 && bytes < 0)
            break;
    }
    if (select_at(db, arena, EVENTS, positions, fit, &rows, err) != 0)
        return -1;
    return take_rows(&rows, arena, list, err);
}

int eventlog_read_stream(struct sql *db, struct arena *arena, const char *stream, int64_t after, int64_t upto,
                         size_t limit, struct event_list *list, struct err *err)
{
    struct sql_rows rows;
    *list = (struct event_list){0};
    if (sql_select(db, arena, EVENTS "WHERE stream = ? AND version > ? AND version <= ? ORDER BY version LIMIT ?",
                   SQL_ARGS(SQL_TEXT(stream), SQL_INT(after), SQL_INT(upto), SQL_INT(limit)), &rows, err) != 0)
        return -1;
    return take_rows(&rows, arena, list, err);
}

int eventlog_read_back(struct sql *db, struct arena *arena, const char *stream, int64_t before, size_t limit,
                       struct event_list *list, struct err *err)
{
    struct sql_rows rows;
    *list = (struct event_list){0};
    if (sql_select(db, arena, EVENTS "WHERE stream = ? AND version < ? ORDER BY version DESC LIMIT ?",
                   SQL_ARGS(SQL_TEXT(stream), SQL_INT(before), SQL_INT(limit)), &rows, err) != 0)
        return -1;
    return take_rows(&rows, arena, list, err);
}

int eventlog_follows(struct sql *db, struct arena *arena, const struct envelope *event, struct err *err)
{
    struct sql_rows found;
    if (event->version == 1)
        return 0;
    if (sql_select(db, arena, "SELECT 1 FROM events WHERE stream = ? AND version = ? AND position < ?",
                   SQL_ARGS(SQL_TEXT(event->stream), SQL_INT(event->version - 1), SQL_INT(event->position)), &found,
                   err) != 0)
        return -1;
    return found.count == 1
               ? 0
               : fail(err, ERR_CONFLICT,
                      "position %" PRId64 ": version %" PRId64 " of %.64s does not follow from the one before",
                      event->position, event->version, event->stream);
}

int eventlog_find(struct sql *db, struct arena *arena, const char *id, int64_t *position, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(db, arena, "SELECT position FROM events WHERE id = ?", SQL_ARGS(SQL_TEXT(id)), &rows, err) != 0)
        return -1;
    *position = rows.count == 1 ? sql_number(SQL_CELL(&rows, 0, 0)) : 0;
    return 0;
}

int eventlog_fence(struct sql *db, struct err *err)
{
    return sql_exec(db, "UPDATE log_fence SET count = count + 1 WHERE one = 1", NULL, 0, NULL, err);
}

/*
 * One UPDATE reads log_head, takes the positions and goes through the chain: its assignments are made from left to
 * right, so each hash is of the one before. The variables carry what it found to the INSERTs; they are emptied first,
 * so that a missing row is an error (no position may be NULL) and never the positions of another batch.
 */
static void add_take(struct sql_batch *batch, const struct envelope *events, size_t count)
{
    struct buf text;
    struct sql_arg digests[EVENTS_MOST];
    buf_init(&text, sql_batch_arena(batch));
    buf_puts(&text, "SET @courant_position = NULL; UPDATE log_head SET ");
    for (size_t i = 0; i < count && i < EVENTS_MOST; i++) {
        buf_printf(&text, "hash = (@courant_hash_%zu := UNHEX(SHA2(CONCAT(hash, ?), 256))), ", i);
        digests[i] = SQL_BYTES(events[i].digest, SHA256_SIZE);
    }
    buf_printf(&text, "position = (@courant_position := position + %zu) WHERE one = 1", count);
    buf_add(&text, "", 1);
    sql_batch_add(batch, text.failed || count > EVENTS_MOST ? "" : text.data, digests, count);
}

static void add_insert(struct sql_batch *batch, const struct envelope *event, size_t i, size_t count)
{
    const char *text = arena_printf(
        sql_batch_arena(batch),
        "INSERT INTO events (position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash) "
        "VALUES (@courant_position - %zu, ?, ?, ?, ?, ?, ?, ?, ?, ?, @courant_hash_%zu)",
        count - 1 - i, i);
    sql_batch_add(batch, text != NULL ? text : "",
                  SQL_ARGS(SQL_TEXT(event->id), SQL_TEXT(event->stream), SQL_INT(event->version), SQL_TEXT(event->type),
                           SQL_TEXT(event->audience), SQL_STR(event->data), SQL_STR(event->metadata),
                           sql_moment(batch, event->recorded_at), SQL_BYTES(event->digest, SHA256_SIZE)));
}

/* Its name is what sql_duplicate_key gives. */
static const char *const BEHIND = "IF NOT EXISTS (SELECT 1 FROM events WHERE stream = ? AND version = ?) THEN "
                                  "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stream_behind'; END IF";

/* A planted crash: the server is at this step of the batch when the process dies. */
static void stay_if_due(struct sql_batch *batch, bool due)
{
    if (due)
        sql_batch_add(batch, "DO SLEEP(0.3)", NULL, 0);
}

void eventlog_append(struct sql_batch *batch, const struct envelope *events, size_t count, int64_t expected)
{
    if (expected > 0)
        sql_batch_add(batch, BEHIND, SQL_ARGS(SQL_TEXT(events[0].stream), SQL_INT(expected)));
    add_take(batch, events, count);
    stay_if_due(batch, fault_due("position-taken"));
    for (size_t i = 0; i < count; i++) {
        add_insert(batch, &events[i], i, count);
        stay_if_due(batch, fault_due("event-inserted"));
    }
    sql_batch_result(batch, "SELECT @courant_position");
}
