/* The audit trail. See audit.h. */
#include "events/audit.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>

/*
 * For one page no more is looked at than so many chunks, and no more chunks are begun than there is time for: events in
 * a row in the table, or each by itself as an index leads to it. And a page has no more bytes of events, save where one
 * alone is longer. The texts of an event are left alone until it is known to be asked for.
 */
enum {
    CHUNK = 2000,
    CHUNK_INDEXED = 500,
    CHUNKS_MOST = 10,
    SCAN_US = 30000,
    PAGE_BYTES = 4 * 1024 * 1024,
    ARGS_MOST = 16
};

/*
 * What is left to look at: after < position <= upto, and the same as versions of the stream where one is asked for. An
 * index of streams does not end a scan at a position.
 */
struct search {
    struct sql *db;
    struct arena *arena;
    const struct audit_filter *filter;
    int64_t after, upto, chunk; /* chunk: how far the next statement goes */
    int64_t after_version, upto_version, chunk_version;
    /* What was found. */
    int64_t positions[AUDIT_PAGE_MOST];
    size_t count;
};

/* The ranges that are read, by the index that serves them; their values are those of range_values. */
#define OF_STREAM "FROM events FORCE INDEX (stream_version) WHERE stream = ? AND version > ? AND version <= ? "
#define OF_USER "FROM events FORCE INDEX (by_user) WHERE user_id = ? AND position > ? AND position <= ? "
#define OF_ALL "FROM events FORCE INDEX (PRIMARY) WHERE position > ? AND position <= ? "

static size_t range_values(const struct search *search, struct sql_arg *args)
{
    const struct audit_filter *filter = search->filter;
    size_t count = 0;
    if (filter->stream != NULL || filter->user != NULL)
        args[count++] = SQL_TEXT(filter->stream != NULL ? filter->stream : filter->user);
    args[count++] = SQL_INT(filter->stream != NULL ? search->after_version : search->after);
    args[count++] = SQL_INT(filter->stream != NULL ? search->chunk_version : search->chunk);
    return count;
}

static int recorded_at(const struct search *search, int64_t position, int64_t *moment, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(search->db, search->arena, "SELECT recorded_at FROM events WHERE position = ?",
                   SQL_ARGS(SQL_INT(position)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_DAMAGED, "position %" PRId64 ": the event is missing", position);
    *moment = clock_parse(SQL_CELL(&rows, 0, 0).data, SQL_CELL(&rows, 0, 0).len);
    return 0;
}

/* The last position of those left whose event was recorded before a moment, or after where there is none. */
static int last_before(const struct search *search, int64_t moment, int64_t *position, struct err *err)
{
    int64_t low = search->after, high = search->upto, middle_moment = 0;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (recorded_at(search, middle, &middle_moment, err) != 0)
            return -1;
        if (middle_moment < moment)
            low = middle;
        else
            high = middle - 1;
    }
    *position = low;
    return 0;
}

/* Leaves only the positions at which events of the time that is asked for can be. */
static int narrow_to_time(struct search *search, struct err *err)
{
    const struct audit_filter *filter = search->filter;
    if (filter->from != INT64_MIN && last_before(search, filter->from - AUDIT_DISORDER_US, &search->after, err) != 0)
        return -1;
    if (filter->to != INT64_MAX && last_before(search, filter->to + AUDIT_DISORDER_US, &search->upto, err) != 0)
        return -1;
    return 0;
}

/* One event of the stream, its version and position: 0 where there is none. */
static int find_one(const struct search *search, const char *text, int64_t version, int64_t found[2], struct err *err)
{
    struct sql_rows rows;
    if (sql_select(search->db, search->arena, text,
                   SQL_ARGS(SQL_TEXT(search->filter->stream), SQL_INT(version), SQL_INT(INT64_MAX)), &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++)
        found[i] = rows.count == 1 ? sql_number(SQL_CELL(&rows, 0, i)) : 0;
    return 0;
}

/*
 * The last version of the stream that is not behind a position, 0 where there is none: by halving, for versions rise
 * with positions, but some may be missing.
 */
static int version_at(const struct search *search, int64_t position, int64_t *version, struct err *err)
{
    int64_t low = 0, high, found[2];
    if (find_one(search, "SELECT version, position " OF_STREAM "ORDER BY stream DESC, version DESC LIMIT 1", 0, found,
                 err) != 0)
        return -1;
    high = found[0];
    if (found[1] <= position)
        low = high;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (find_one(search, "SELECT version, position " OF_STREAM "ORDER BY stream, version LIMIT 1", middle, found,
                     err) != 0)
            return -1;
        if (found[0] == 0 || found[1] > position)
            high = middle;
        else
            low = found[0];
    }
    *version = low;
    return 0;
}

static int find_versions(struct search *search, struct err *err)
{
    if (search->filter->stream == NULL)
        return 0;
    if (search->after > 0 && version_at(search, search->after, &search->after_version, err) != 0)
        return -1;
    return version_at(search, search->upto, &search->upto_version, err);
}

/* Whether the range has events in it that are not asked for. */
static bool is_mixed(const struct audit_filter *filter)
{
    return filter->type != NULL || filter->from != INT64_MIN || filter->to != INT64_MAX ||
           (filter->stream != NULL && filter->user != NULL);
}

/* Where the next chunk ends; one of nothing but what is asked for has all that is left. */
static int bound_chunk(struct search *search, struct err *err)
{
    const struct audit_filter *filter = search->filter;
    struct sql_arg args[ARGS_MOST];
    struct sql_rows rows;
    search->chunk = search->upto;
    search->chunk_version = search->upto_version;
    if (!is_mixed(filter))
        return 0;
    if (filter->stream == NULL && filter->user == NULL) {
        if (search->upto - search->after > CHUNK)
            search->chunk = search->after + CHUNK;
        return 0;
    }
    size_t count = range_values(search, args);
    args[count++] = SQL_INT(CHUNK_INDEXED - 1);
    if (sql_select(search->db, search->arena,
                   filter->stream != NULL ? "SELECT position, version " OF_STREAM
                                            "ORDER BY stream, version LIMIT 1 OFFSET ?"
                                          : "SELECT position, 0 " OF_USER "ORDER BY user_id, position LIMIT 1 OFFSET ?",
                   args, count, &rows, err) != 0)
        return -1;
    if (rows.count == 1) {
        search->chunk = sql_number(SQL_CELL(&rows, 0, 0));
        search->chunk_version = sql_number(SQL_CELL(&rows, 0, 1));
    }
    return 0;
}

#define FITS                                                                                                           \
    "AND (? IS NULL OR type = ?) AND (? IS NULL OR user_id = ?) AND (? IS NULL OR recorded_at >= ?) "                  \
    "AND (? IS NULL OR recorded_at < ?) "

/* Positions of what fits in the chunk, one more than the page still takes. */
static int pick(const struct search *search, struct sql_rows *rows, struct err *err)
{
    const struct audit_filter *filter = search->filter;
    const char *user = filter->stream != NULL ? filter->user : NULL;
    char from[CLOCK_TEXT], to[CLOCK_TEXT];
    struct sql_arg args[ARGS_MOST];
    clock_sql(filter->from != INT64_MIN ? filter->from : 0, from);
    clock_sql(filter->to != INT64_MAX ? filter->to : 0, to);
    const char *const values[] = {filter->type, user, filter->from != INT64_MIN ? from : NULL,
                                  filter->to != INT64_MAX ? to : NULL};
    size_t count = range_values(search, args);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        args[count] = args[count + 1] = SQL_TEXT(values[i]), count += 2;
    args[count++] = SQL_INT(filter->limit - search->count + 1);
    const char *text = "SELECT position " OF_ALL FITS "ORDER BY position LIMIT ?";
    if (filter->stream != NULL)
        text = "SELECT position " OF_STREAM FITS "ORDER BY stream, version LIMIT ?";
    else if (filter->user != NULL)
        text = "SELECT position " OF_USER FITS "ORDER BY user_id, position LIMIT ?";
    return sql_select(search->db, search->arena, text, args, count, rows, err);
}

/* Adds what was picked to what was found; false where the page does not take all of it. */
static bool keep(struct search *search, const struct sql_rows *picked)
{
    size_t room = search->filter->limit - search->count;
    for (size_t i = 0; i < picked->count && i < room; i++)
        search->positions[search->count++] = sql_number(SQL_CELL(picked, i, 0));
    return picked->count <= room;
}

/* Finds the positions of a page. next: as in struct audit_page. */
static int scan(struct search *search, int64_t *next, struct err *err)
{
    struct sql_rows picked;
    int64_t until = clock_steady() + SCAN_US;
    for (int chunks = 1;; chunks++) {
        if (bound_chunk(search, err) != 0 || pick(search, &picked, err) != 0)
            return -1;
        bool all = keep(search, &picked);
        if (all && search->chunk < search->upto && chunks < CHUNKS_MOST && clock_steady() < until) {
            search->after = search->chunk;
            search->after_version = search->chunk_version;
            continue;
        }
        *next = search->chunk < search->upto ? search->chunk : 0;
        if (!all)
            *next = search->positions[search->count - 1];
        return 0;
    }
}

/* The events of a page, or as many of them as memory is for. */
static int read_page(const struct search *search, const struct model *model, struct audit_page *page, struct err *err)
{
    struct event_list *list = &page->list;
    struct err upcast;
    if (eventlog_read_at(search->db, search->arena, search->positions, search->count, PAGE_BYTES, list, err) != 0)
        return -1;
    if (list->count == 0 && search->count > 0)
        return fail(err, ERR_DAMAGED, "position %" PRId64 ": the event is missing", search->positions[0]);
    if (list->count < search->count)
        page->next = search->positions[list->count - 1];
    for (size_t i = 0; i < list->count; i++)
        if (model_upcast(model, &list->events[i], search->arena, &upcast) != 0)
            log_warning("%s", upcast.text);
    return 0;
}

int audit_read(struct sql *db, const struct model *model, struct arena *arena, const struct audit_filter *filter,
               struct audit_page *page, struct err *err)
{
    struct log_head head;
    struct search search = {.db = db, .arena = arena, .filter = filter, .after = filter->after};
    *page = (struct audit_page){0};
    if (filter->limit < 1 || filter->limit > AUDIT_PAGE_MOST)
        return fail(err, ERR_INTERNAL, "a page of %zu events", filter->limit);
    if (eventlog_head(db, arena, &head, err) != 0 || eventlog_fence(db, err) != 0)
        return -1;
    page->position = search.upto = head.position;
    if (narrow_to_time(&search, err) != 0)
        return -1;
    if (search.after >= search.upto)
        return 0;
    if (find_versions(&search, err) != 0 || scan(&search, &page->next, err) != 0)
        return -1;
    return read_page(&search, model, page, err);
}
