/*
 * courantctl verify: invariants 2, 4, 5 and 8, on a live system, in one pass.
 *
 * One connection holds a snapshot of the database; the log is read once, in order, up to where it ends there (what is
 * in the log never changes, so a second connection may read it ahead). Each event is checked
 * against its digest, the chain and the bus, and folded into the state of its stream. A stream whose row has the
 * version that its state has just reached is at its end: there the two are compared, and the state is let go. So memory
 * holds only the streams that are still open, and no more than a limit of them.
 */
#include "ctl/ctl.h"

#include "ctl/progress.h"
#include "domain/model.h"
#include "events/ahead.h"
#include "events/bus.h"
#include "events/fold.h"
#include "events/sides.h"
#include "events/states.h"
#include "events/touched.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 2000,
    FEED_WAIT_US = 5000000,
    SNAPSHOTS = 3,
    STATES_BYTES = 128 * 1024 * 1024,
    ARENA_LIMIT = 128 * 1024 * 1024
};

static const char USAGE[] = "verify [--from N]";

struct verify {
    struct ctl *ctl;
    struct bus *bus;
    struct bus_feed *feed;
    struct arena *arena; /* for one run of a chunk's events */
    struct arena *message;
    size_t most; /* events of a run: see touched_runs */
    struct ahead *ahead;
    struct states *states;
    struct progress progress;
    struct log_head head;
    int64_t from, position, bus_first, bus_last;
    int64_t *compared;               /* rows, by read model */
    unsigned char hash[SHA256_SIZE]; /* of the last event; the reading thread's while there is one */
    bool bus_lost, different;
    bool bus_away; /* why: away */
    struct err away;
};

/* A finding: the first one is named, and ends the run with status 1. */
static int differs(struct verify *v, struct err *err)
{
    v->different = true;
    err->kind = ERR_CONFLICT;
    return -1;
}

/* What cannot even be read is different too. */
static int damaged(struct verify *v, struct err *err)
{
    return err->kind == ERR_DAMAGED ? differs(v, err) : -1;
}

/* A snapshot whose log is whole. MariaDB may take one in which an event of this moment is missing: then another. */
static int take_snapshot(struct verify *v, struct err *err)
{
    struct sql_rows found;
    for (int try = 0; try < SNAPSHOTS; try++) {
        sql_rollback(v->ctl->db);
        if (sql_begin_snapshot(v->ctl->db, err) != 0 || eventlog_head(v->ctl->db, v->arena, &v->head, err) != 0)
            return -1;
        int64_t from = v->head.position > CHUNK ? v->head.position - CHUNK : 0;
        if (sql_select(v->ctl->db, v->arena, "SELECT COUNT(*) FROM events WHERE position > ? AND position <= ?",
                       SQL_ARGS(SQL_INT(from), SQL_INT(v->head.position)), &found, err) != 0)
            return -1;
        if (from + sql_number(SQL_CELL(&found, 0, 0)) == v->head.position)
            return 0;
    }
    return 0;
}

/* Where the reading begins, and the hash before it. */
static int find_start(struct verify *v, struct err *err)
{
    struct event_list list;
    if (v->from - 1 > v->head.position)
        return fail(err, ERR_INVALID, "the log ends at position %" PRId64, v->head.position);
    v->position = v->from - 1;
    if (v->position == 0)
        return 0;
    if (eventlog_read(v->ctl->db, v->arena, v->position - 1, 1, &list, err) != 0)
        return -1;
    if (list.count != 1) {
        fail(err, ERR_CONFLICT, "position %" PRId64 " is missing from the log", v->position);
        return differs(v, err);
    }
    memcpy(v->hash, list.events[0].hash, SHA256_SIZE);
    return 0;
}

/* In the thread that reads, as the chain is. ERR_DAMAGED: the bus holds something else. */
static int check_bus(struct verify *v, const struct envelope *event, struct err *err)
{
    if (event->position > v->bus_last || event->position < v->bus_first)
        return 0;
    arena_reset(v->message);
    int got = bus_next_is(v->feed, v->message, FEED_WAIT_US, event, err);
    if (got == 0)
        return fail(err, ERR_UNAVAILABLE, "the bus did not deliver sequence %" PRId64, event->position);
    if (got < 0 && err->kind == ERR_MALFORMED)
        err->kind = ERR_DAMAGED;
    return got > 0 ? 0 : -1;
}

/* The chain and the bus, in the thread that reads. */
static int check_chain(void *context, struct event_list *list, struct err *err)
{
    struct verify *v = context;
    for (size_t i = 0; i < list->count; i++) {
        const struct envelope *event = &list->events[i];
        if (event_check(event, v->hash, err) != 0 || check_bus(v, event, err) != 0) {
            list->count = i;
            return -1;
        }
    }
    return 0;
}

/*
 * Without making a stream where there is none; of one whose oldest messages a limit has taken away, what is left. A bus
 * that cannot be reached is said at the end: the log and the tables are looked at all the same.
 */
static int find_bus(struct verify *v, struct err *err)
{
    v->bus_first = v->bus_last = 0;
    v->bus_away = bus_open(&v->bus, &v->ctl->conf, &v->away) != 0 || bus_await(v->bus, &v->away) != 0;
    if (v->bus_away)
        return 0;
    v->bus_lost = bus_state(v->bus, &v->bus_first, &v->bus_last, err) != 0;
    return !v->bus_lost || err->kind == ERR_ABSENT ? 0 : -1;
}

/*
 * Threads that wake each other for each message, those of libnats among them, do not interrupt each other for it, nor
 * the site's work. They have it of the thread that makes them, so it comes first. Where it is not to be had, verify
 * takes longer.
 */
static void be_a_batch(void)
{
    const struct sched_param none = {0};
    (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

static int open_all(struct verify *v, struct err *err)
{
    be_a_batch();
    v->arena = arena_new(ARENA_LIMIT);
    v->message = arena_new(ARENA_LIMIT);
    v->most = CHUNK;
    v->states = states_new(STATES_BYTES);
    v->compared = calloc(MODEL.read_model_count, sizeof *v->compared);
    if (v->arena == NULL || v->message == NULL || v->states == NULL || v->compared == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    if (take_snapshot(v, err) != 0 || find_start(v, err) != 0 || find_bus(v, err) != 0)
        return -1;
    int64_t first = v->bus_first > v->from ? v->bus_first : v->from;
    if (v->bus_last >= first && bus_subscribe(v->bus, first, &v->feed, err) != 0)
        return -1;
    progress_start(&v->progress, "verify", v->position, v->head.position);
    return ahead_open(&v->ahead, &v->ctl->conf, v->position, v->head.position, CHUNK, check_chain, v, err);
}

static void close_all(struct verify *v)
{
    progress_end(&v->progress);
    sql_rollback(v->ctl->db);
    ahead_close(&v->ahead);
    bus_unsubscribe(&v->feed);
    bus_close(&v->bus);
    bus_end();
    states_free(&v->states);
    free(v->compared);
    arena_free(&v->message);
    arena_free(&v->arena);
}

/* The state before its first event of this chunk: kept, or folded anew, or that of a stream without events. */
static int load_state(struct verify *v, struct touched *item, struct err *err)
{
    const void *kept = states_find(v->states, item->stream);
    if (kept != NULL) {
        void *copy = arena_alloc(v->arena, state_bytes(item->rows, kept));
        if (copy == NULL)
            return fail(err, ERR_UNAVAILABLE, "no room for states");
        state_pack(item->rows, kept, copy);
        item->state = copy;
        return 0;
    }
    if (item->first == 1)
        return 0;
    return fold_stream(v->ctl->db, &MODEL, v->arena, item->stream, item->first - 1, INT64_MAX, item->state, err);
}

static int compare_row(struct verify *v, struct touched *item, struct err *err)
{
    int64_t version = state_version(item->rows, item->state);
    if (item->row == NULL) {
        fail(err, ERR_CONFLICT, "read model %s, %s: the row is missing", item->rows->name, item->id);
        return differs(v, err);
    }
    int64_t there = state_version(item->rows, item->row);
    if (there < version) {
        fail(err, ERR_CONFLICT, "read model %s, %s: the row is at version %" PRId64 ", the log at %" PRId64,
             item->rows->name, item->id, there, version);
        return differs(v, err);
    }
    if (there > version)
        return 0; /* there is more to come */
    if (state_derive(item->rows, item->state, item->key, v->arena, err) != 0)
        return -1;
    const struct column *column = state_difference(item->rows, item->state, item->row);
    if (column != NULL) {
        fail(err, ERR_CONFLICT, "read model %s, %s: column %s is not what the log says", item->rows->name, item->id,
             column->name);
        return differs(v, err);
    }
    item->done = true;
    return 0;
}

/* What follows from the rows that were just compared. */
static int check_sides(struct verify *v, const struct touched_list *touched, struct err *err)
{
    const char **ids = arena_alloc(v->arena, (touched->count + 1) * sizeof *ids);
    const void **states = arena_alloc(v->arena, (touched->count + 1) * sizeof *states);
    if (ids == NULL || states == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for ids");
    for (size_t m = 0; m < MODEL.read_model_count; m++) {
        const struct read_model *rows = MODEL.read_models[m];
        struct sides_difference found;
        size_t count = 0;
        for (size_t i = 0; i < touched->count; i++)
            if (touched->items[i].done && touched->items[i].rows == rows) {
                states[count] = touched->items[i].state;
                ids[count++] = touched->items[i].id;
            }
        if (sides_check(v->ctl->db, v->arena, rows, states, ids, count, &found, err) != 0)
            return -1;
        if (found.id == NULL)
            continue;
        fail(err, ERR_CONFLICT, "read model %s, %s: what follows from its row (%s) is not what the log says",
             rows->name, found.id, found.side->name);
        return differs(v, err);
    }
    return 0;
}

/* Lets go of what was compared, and keeps the states of what is still open. */
static int keep_open(struct verify *v, const struct touched_list *touched, struct err *err)
{
    for (size_t i = 0; i < touched->count; i++) {
        const struct touched *item = &touched->items[i];
        if (!item->done) {
            if (states_keep(v->states, item->rows, item->stream, item->state, err) != 0)
                return -1;
            continue;
        }
        states_drop(v->states, item->stream);
        for (size_t m = 0; m < MODEL.read_model_count; m++)
            v->compared[m] += MODEL.read_models[m] == item->rows;
    }
    return 0;
}

/* What cannot be folded is different, unless it is for want of memory. */
static int unfoldable(struct verify *v, struct err *err)
{
    bool found = err->kind == ERR_CONFLICT || err->kind == ERR_DAMAGED;
    return found && !arena_exhausted(v->arena) ? differs(v, err) : -1;
}

static int fold_event(struct verify *v, struct touched *item, const struct envelope *event, struct err *err)
{
    if (item == NULL)
        return eventlog_follows(v->ctl->db, v->arena, event, err) != 0 ? unfoldable(v, err) : 0;
    return model_fold(&MODEL, item->state, event, v->arena, err) != 0 ? unfoldable(v, err) : compare_row(v, item, err);
}

static int fold_run(void *context, const struct event_list *run, struct err *err)
{
    struct verify *v = context;
    struct touched_list touched;
    if (touched_find(&MODEL, v->arena, run, &touched, err) != 0)
        return unfoldable(v, err);
    if (touched_load(v->ctl->db, v->arena, &MODEL, "", NULL, &touched, err) != 0 ||
        touched_keys(v->ctl->db, v->arena, &MODEL, &touched, err) != 0)
        return -1;
    for (size_t i = 0; i < touched.count; i++)
        if (load_state(v, &touched.items[i], err) != 0)
            return unfoldable(v, err);
    for (size_t i = 0; i < run->count; i++)
        if (fold_event(v, touched.of[i], &run->events[i], err) != 0)
            return -1;
    return check_sides(v, &touched, err) != 0 ? -1 : keep_open(v, &touched, err);
}

static int check_log(struct verify *v, struct err *err)
{
    struct event_list list;
    while (v->position < v->head.position) {
        if (ahead_next(v->ahead, &list, err) != 0)
            return damaged(v, err);
        if (list.count == 0) {
            fail(err, ERR_CONFLICT, "position %" PRId64 " is missing from the log", v->position + 1);
            return differs(v, err);
        }
        v->position += (int64_t)list.count;
        if (touched_runs(v->arena, &v->most, &list, fold_run, v, err) != 0)
            return -1;
        progress_at(&v->progress, v->position);
    }
    if (memcmp(v->hash, v->head.hash, SHA256_SIZE) == 0 && v->position == v->head.position)
        return 0;
    fail(err, ERR_CONFLICT, "log_head does not agree with the last event, position %" PRId64, v->position);
    return differs(v, err);
}

/* The table has the columns that it is to have and no others, which nobody would compare. */
static int check_columns(struct verify *v, const struct read_model *rows, const char *table, size_t count,
                         struct err *err)
{
    struct sql_rows found;
    if (sql_select(v->ctl->db, v->arena,
                   "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?",
                   SQL_ARGS(SQL_TEXT(table)), &found, err) != 0)
        return -1;
    if (sql_number(SQL_CELL(&found, 0, 0)) == (int64_t)count)
        return 0;
    fail(err, ERR_CONFLICT, "read model %s: the table %s has columns that no event makes", rows->name, table);
    return differs(v, err);
}

/* Rows that were never compared: of no stream, or ahead of theirs. */
static int find_stray(struct verify *v, const struct read_model *rows, struct err *err)
{
    struct sql_rows found;
    const char *text =
        arena_printf(v->arena,
                     "SELECT r.id, r.version FROM %s AS r WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.stream = "
                     "CONCAT(_ascii'%s-', r.id) AND e.version = r.version AND e.position <= ?) ORDER BY r.id LIMIT 1",
                     rows->name, rows->category);
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    if (sql_select(v->ctl->db, v->arena, text, SQL_ARGS(SQL_INT(v->head.position)), &found, err) != 0)
        return -1;
    if (found.count == 0 && v->from > 1)
        return 0; /* those whose last event is before it were not compared */
    if (found.count == 0)
        return fail(err, ERR_INTERNAL, "read model %s: the rows are not those that were compared", rows->name);
    fail(err, ERR_CONFLICT, "read model %s, %s: the row is at version %s, which is not in the log%s", rows->name,
         SQL_CELL(&found, 0, 0).data, SQL_CELL(&found, 0, 1).data,
         read_model_direct(rows, &v->ctl->conf) ? " (it is in direct mode)" : "");
    return differs(v, err);
}

/* What is in a side for a row that is not there. */
static int check_strays(struct verify *v, const struct read_model *rows, struct err *err)
{
    for (size_t i = 0; i < rows->side_count; i++) {
        struct sql_rows found;
        const char *side = rows->sides[i].name;
        if (check_columns(v, rows, side, rows->sides[i].column_count, err) != 0)
            return -1;
        const char *text = arena_printf(v->arena,
                                        "SELECT s.id FROM %s AS s WHERE NOT EXISTS (SELECT 1 FROM %s AS r WHERE r.id = "
                                        "s.id) LIMIT 1",
                                        side, rows->name);
        if (text == NULL)
            return fail(err, ERR_UNAVAILABLE, "no room for a statement");
        if (sql_select(v->ctl->db, v->arena, text, NULL, 0, &found, err) != 0)
            return -1;
        if (found.count == 0)
            continue;
        fail(err, ERR_CONFLICT, "read model %s, %s: what follows from its row (%s) is there without it", rows->name,
             SQL_CELL(&found, 0, 0).data, side);
        return differs(v, err);
    }
    return 0;
}

static int check_rows(struct verify *v, size_t model, struct err *err)
{
    struct sql_rows found;
    const struct read_model *rows = MODEL.read_models[model];
    arena_reset(v->arena);
    const char *text = arena_printf(v->arena, "SELECT COUNT(*) FROM %s", rows->name);
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    if (check_columns(v, rows, rows->name, rows->column_count, err) != 0 || check_strays(v, rows, err) != 0 ||
        sql_select(v->ctl->db, v->arena, text, NULL, 0, &found, err) != 0)
        return -1;
    int64_t all = sql_number(SQL_CELL(&found, 0, 0));
    if (all != v->compared[model] && find_stray(v, rows, err) != 0)
        return -1;
    printf("model    %s: %" PRId64 " of %" PRId64 " rows compared, equal to the fold of the log\n", rows->name,
           v->compared[model], all);
    return 0;
}

static int check_bus_end(struct verify *v, struct err *err)
{
    struct log_head now;
    sql_rollback(v->ctl->db);
    if (eventlog_head(v->ctl->db, v->arena, &now, err) != 0)
        return -1;
    if (v->bus_lost && v->head.position > 0) {
        fail(err, ERR_CONFLICT, "the bus has no stream %.64s: see courantctl bus status", v->ctl->conf.nats_stream);
        return differs(v, err);
    }
    if (v->bus_last <= now.position)
        return 0;
    fail(err, ERR_CONFLICT, "the bus is at %" PRId64 ", ahead of the log at %" PRId64 ": see courantctl bus status",
         v->bus_last, now.position);
    return differs(v, err);
}

/* Events that the head does not know of: the next command would want their position. */
static int check_end(struct verify *v, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(v->ctl->db, v->arena,
                   "SELECT position FROM events WHERE position > ? OR position < 1 ORDER BY position LIMIT 1",
                   SQL_ARGS(SQL_INT(v->head.position)), &rows, err) != 0)
        return -1;
    if (rows.count == 0)
        return 0;
    fail(err, ERR_CONFLICT, "position %s is in the log, but log_head is at %" PRId64, SQL_CELL(&rows, 0, 0).data,
         v->head.position);
    return differs(v, err);
}

static int verify_all(struct verify *v, struct err *err)
{
    if (open_all(v, err) != 0 || check_log(v, err) != 0 || check_end(v, err) != 0)
        return -1;
    progress_end(&v->progress);
    printf("log      positions %" PRId64 " to %" PRId64 ": dense, digests, hashes and versions right (%.0f events/s)\n",
           v->from, v->position, progress_rate(&v->progress));
    for (size_t i = 0; i < MODEL.read_model_count; i++)
        if (check_rows(v, i, err) != 0)
            return -1;
    if (v->bus_away) {
        *err = v->away;
        return -1;
    }
    if (check_bus_end(v, err) != 0)
        return -1;
    int64_t held = v->bus_last >= v->bus_first ? v->bus_last - v->bus_first + (v->bus_first > 0) : 0;
    printf("bus      %" PRId64 " messages, a prefix of the log%s%s\n", held,
           v->bus_first > 1 ? ", of which it has let the oldest go" : "",
           v->bus_last == 0 && v->position > 0 ? ": it is empty, see courantctl bus status"
           : v->bus_last < v->position         ? " (it is behind)"
                                               : "");
    return 0;
}

int ctl_verify(struct ctl *ctl, int argc, char **argv)
{
    struct verify v = {.ctl = ctl, .from = 1};
    struct err err = {0};
    if (argc != 1 && (argc != 3 || strcmp(argv[1], "--from") != 0 || !ctl_position(argv[2], &v.from) || v.from < 1))
        return ctl_usage(USAGE);
    int status = verify_all(&v, &err) == 0 ? CTL_OK : v.different ? CTL_REFUSED : CTL_FAILED;
    progress_end(&v.progress);
    if (status == CTL_REFUSED)
        printf("DIFFERENT %s\n", err.text);
    else if (status == CTL_FAILED)
        fprintf(stderr, "courantctl: %s\n", err.text);
    else
        printf("clean\n");
    close_all(&v);
    return status;
}
