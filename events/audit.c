/* The audit trail. See audit.h. */
#include "events/audit.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>

/* How many events are looked at for a page: one after the other, and each by itself as an index of others leads to it.
 * And how many bytes of them a page has, save where one alone is longer. */
enum { SCAN_MOST = 20000, SCAN_INDEXED_MOST = 5000, PAGE_BYTES = 4 * 1024 * 1024, ARGS_MOST = 16 };

struct search {
    struct sql *db;
    struct arena *arena;
    const struct audit_filter *filter;
    int64_t after, upto;   /* the positions that are left to look at: after < position <= upto */
    int64_t after_version; /* of the stream that is asked for: the last that is not behind after */
};

/* The ranges that are read, by the index that serves them; their values are those of range_values. */
#define OF_STREAM "FROM events FORCE INDEX (stream_version) WHERE stream = ? AND version > ? "
#define OF_USER "FROM events FORCE INDEX (by_user) WHERE user_id = ? "
#define OF_ALL "FROM events FORCE INDEX (PRIMARY) WHERE 1 = 1 "
#define WITHIN "AND position > ? AND position <= ? "

static size_t range_values(const struct search *search, struct sql_arg *args)
{
    size_t count = 0;
    if (search->filter->stream != NULL) {
        args[count++] = SQL_TEXT(search->filter->stream);
        args[count++] = SQL_INT(search->after_version);
    } else if (search->filter->user != NULL) {
        args[count++] = SQL_TEXT(search->filter->user);
    }
    args[count++] = SQL_INT(search->after);
    args[count++] = SQL_INT(search->upto);
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
    int64_t low = search->after, high = search->upto, middle_moment;
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

/* A version of the stream and its position: the first behind another version. 0 where there is none. */
static int version_behind(const struct search *search, int64_t behind, int64_t *version, int64_t *position,
                          struct err *err)
{
    struct sql_rows rows;
    if (sql_select(search->db, search->arena, "SELECT version, position " OF_STREAM "ORDER BY stream, version LIMIT 1",
                   SQL_ARGS(SQL_TEXT(search->filter->stream), SQL_INT(behind)), &rows, err) != 0)
        return -1;
    *version = rows.count == 1 ? sql_number(SQL_CELL(&rows, 0, 0)) : 0;
    *position = rows.count == 1 ? sql_number(SQL_CELL(&rows, 0, 1)) : 0;
    return 0;
}

/* Where in the stream to begin, by halving: versions rise with positions, but some may be missing. */
static int find_version(struct search *search, struct err *err)
{
    struct sql_rows rows;
    int64_t low = 0, high, version, position;
    if (search->filter->stream == NULL || search->after == 0)
        return 0;
    if (sql_select(search->db, search->arena, "SELECT version " OF_STREAM "ORDER BY stream DESC, version DESC LIMIT 1",
                   SQL_ARGS(SQL_TEXT(search->filter->stream), SQL_INT(0)), &rows, err) != 0)
        return -1;
    high = rows.count == 1 ? sql_number(SQL_CELL(&rows, 0, 0)) : 0;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (version_behind(search, middle, &version, &position, err) != 0)
            return -1;
        if (version == 0 || position > search->after)
            high = middle;
        else
            low = version;
    }
    search->after_version = low;
    return 0;
}

/* Whether the range has events in it that are not asked for. */
static bool is_mixed(const struct audit_filter *filter)
{
    return filter->type != NULL || filter->from != INT64_MIN || filter->to != INT64_MAX ||
           (filter->stream != NULL && filter->user != NULL);
}

/* Leaves no more positions than may be looked at for one page. */
static int narrow_to_bound(struct search *search, struct err *err)
{
    const struct audit_filter *filter = search->filter;
    struct sql_arg args[ARGS_MOST];
    struct sql_rows rows;
    if (!is_mixed(filter))
        return 0;
    if (filter->stream == NULL && filter->user == NULL) {
        if (search->upto - search->after > SCAN_MOST)
            search->upto = search->after + SCAN_MOST;
        return 0;
    }
    size_t count = range_values(search, args);
    args[count++] = SQL_INT(SCAN_INDEXED_MOST - 1);
    if (sql_select(search->db, search->arena,
                   filter->stream != NULL
                       ? "SELECT position " OF_STREAM WITHIN "ORDER BY stream, version LIMIT 1 OFFSET ?"
                       : "SELECT position " OF_USER WITHIN "ORDER BY user_id, position LIMIT 1 OFFSET ?",
                   args, count, &rows, err) != 0)
        return -1;
    if (rows.count == 1)
        search->upto = sql_number(SQL_CELL(&rows, 0, 0));
    return 0;
}

#define PICK "SELECT position, LENGTH(data) + LENGTH(metadata) "
#define FITS                                                                                                           \
    "AND (? IS NULL OR type = ?) AND (? IS NULL OR user_id = ?) AND (? IS NULL OR recorded_at >= ?) "                  \
    "AND (? IS NULL OR recorded_at < ?) "

/* Positions and sizes of what fits, one more than a page holds. */
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
    args[count++] = SQL_INT(filter->limit + 1);
    const char *text = PICK OF_ALL WITHIN FITS "ORDER BY position LIMIT ?";
    if (filter->stream != NULL)
        text = PICK OF_STREAM WITHIN FITS "ORDER BY stream, version LIMIT ?";
    else if (filter->user != NULL)
        text = PICK OF_USER WITHIN FITS "ORDER BY user_id, position LIMIT ?";
    return sql_select(search->db, search->arena, text, args, count, rows, err);
}

/* How many of what was picked are a page: no more than were asked for, and than memory is for. */
static size_t cut(const struct search *search, const struct sql_rows *picked, int64_t *positions)
{
    int64_t bytes = 0;
    size_t count = 0;
    for (; count < picked->count && count < search->filter->limit; count++) {
        bytes += sql_number(SQL_CELL(picked, count, 1));
        if (count > 0 && bytes > PAGE_BYTES)
            break;
        positions[count] = sql_number(SQL_CELL(picked, count, 0));
    }
    return count;
}

static int read_page(const struct search *search, const struct model *model, int64_t end, struct audit_page *page,
                     struct err *err)
{
    struct sql_rows picked;
    struct err upcast;
    int64_t positions[AUDIT_PAGE_MOST];
    if (pick(search, &picked, err) != 0)
        return -1;
    size_t count = cut(search, &picked, positions);
    if (count < picked.count)
        page->next = positions[count - 1];
    else if (search->upto < end)
        page->next = search->upto;
    if (eventlog_read_at(search->db, search->arena, positions, count, &page->list, err) != 0)
        return -1;
    for (size_t i = 0; i < page->list.count; i++)
        if (model_upcast(model, &page->list.events[i], search->arena, &upcast) != 0)
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
    int64_t end = search.upto;
    if (search.after >= end)
        return 0;
    if (find_version(&search, err) != 0 || narrow_to_bound(&search, err) != 0)
        return -1;
    return read_page(&search, model, end, page, err);
}
