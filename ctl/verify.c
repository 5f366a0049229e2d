/*
 * courantctl verify: invariants 2, 4, 5 and 8, on a live system.
 *
 * One connection holds a snapshot of the database. The log is read from it once, in order; each event is checked
 * against its digest, the chain and the bus, and folded into temporary tables of a second connection, which hide the
 * read models of the same name there, so that the projections run as they are. Then the two sets of tables are
 * compared.
 */
#include "ctl/ctl.h"

#include "domain/model.h"
#include "events/bus.h"
#include "events/eventlog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 200, FEED_WAIT_US = 5000000, SNAPSHOTS = 3 };

struct verify {
    struct ctl *ctl;
    struct sql *fold; /* the second connection */
    struct bus *bus;
    struct bus_feed *feed;
    struct arena *arena; /* for one chunk */
    struct log_head head;
    int64_t position, bus_last;
    unsigned char hash[SHA256_SIZE];
    bool different;
};

/* A finding: the first one is named, and ends the run with status 1. */
static int differs(struct verify *v, struct err *err)
{
    v->different = true;
    err->kind = ERR_CONFLICT;
    return -1;
}

static int make_shadow(struct verify *v, const char *table, struct err *err)
{
    struct sql_rows rows;
    const char *query = arena_printf(v->arena, "SHOW CREATE TABLE %s", table);
    if (query == NULL || sql_select(v->ctl->db, v->arena, query, NULL, 0, &rows, err) != 0)
        return -1;
    const char *create = SQL_CELL(&rows, 0, 1).data, *prefix = "CREATE TABLE ";
    if (create == NULL || strncmp(create, prefix, strlen(prefix)) != 0)
        return fail(err, ERR_INTERNAL, "the definition of %s cannot be read", table);
    const char *text = arena_printf(v->arena, "CREATE TEMPORARY TABLE %s", create + strlen(prefix));
    return text != NULL ? sql_script(v->fold, text, strlen(text), err) : fail(err, ERR_INTERNAL, "no memory");
}

/* A snapshot whose log is whole. MariaDB may take one in which an event of this moment is missing: then another. */
static int take_snapshot(struct verify *v, struct err *err)
{
    struct event_list list;
    for (int try = 0; try < SNAPSHOTS; try++) {
        sql_rollback(v->ctl->db);
        if (sql_begin_snapshot(v->ctl->db, err) != 0 || eventlog_head(v->ctl->db, v->arena, &v->head, err) != 0)
            return -1;
        int64_t from = v->head.position > CHUNK ? v->head.position - CHUNK : 0;
        if (eventlog_read(v->ctl->db, v->arena, from, CHUNK + 1, &list, err) != 0)
            return -1;
        if (from + (int64_t)list.count == v->head.position)
            return 0;
    }
    return 0;
}

static int open_all(struct verify *v, struct err *err)
{
    v->arena = arena_new(256 * 1024 * 1024);
    if (v->arena == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    if (sql_open(&v->fold, &v->ctl->conf, err) != 0 || bus_open(&v->bus, &v->ctl->conf, err) != 0)
        return -1;
    for (size_t i = 0; i < READ_MODEL_COUNT; i++)
        if (make_shadow(v, READ_MODELS[i].table, err) != 0)
            return -1;
    if (take_snapshot(v, err) != 0 || bus_last(v->bus, &v->bus_last, err) != 0)
        return -1;
    return v->bus_last > 0 ? bus_subscribe(v->bus, 1, &v->feed, err) : 0;
}

static void close_all(struct verify *v)
{
    sql_rollback(v->ctl->db);
    bus_unsubscribe(&v->feed);
    bus_close(&v->bus);
    bus_end();
    sql_close(&v->fold);
    arena_free(&v->arena);
}

static int check_bus(struct verify *v, const struct envelope *event, struct err *err)
{
    struct envelope there;
    if (event->position > v->bus_last)
        return 0;
    int got = bus_next(v->feed, v->arena, FEED_WAIT_US, &there, err);
    if (got == 0)
        return fail(err, ERR_UNAVAILABLE, "the bus did not deliver sequence %" PRId64, event->position);
    if (got < 0)
        return err->kind == ERR_MALFORMED ? differs(v, err) : -1;
    if (there.position == event->position && memcmp(there.digest, event->digest, SHA256_SIZE) == 0)
        return 0;
    fail(err, ERR_CONFLICT, "position %" PRId64 ": the bus holds another event there (%s)", event->position, there.id);
    return differs(v, err);
}

static int check_event(struct verify *v, const struct envelope *event, struct err *err)
{
    unsigned char digest[SHA256_SIZE], hash[SHA256_SIZE];
    event_digest(event, digest);
    if (memcmp(digest, event->digest, SHA256_SIZE) != 0) {
        fail(err, ERR_CONFLICT, "position %" PRId64 ": the event does not match its digest", event->position);
        return differs(v, err);
    }
    event_chain(v->hash, event->digest, hash);
    if (memcmp(hash, event->hash, SHA256_SIZE) != 0) {
        fail(err, ERR_CONFLICT, "position %" PRId64 ": the hash does not follow from the one before", event->position);
        return differs(v, err);
    }
    memcpy(v->hash, hash, SHA256_SIZE);
    v->position = event->position;
    return check_bus(v, event, err);
}

static int fold_event(struct verify *v, const struct envelope *event, struct err *err)
{
    struct sql_batch *batch = sql_batch_new(v->arena);
    char where[64];
    if (batch == NULL)
        return fail(err, ERR_INTERNAL, "no memory");
    if (model_apply(&MODEL, batch, event, v->arena, err) == 0 && sql_batch_commit(v->fold, batch, NULL, err) == 0)
        return 0;
    snprintf(where, sizeof where, "position %" PRId64, event->position);
    fail_within(err, where);
    return err->kind == ERR_CONFLICT ? differs(v, err) : -1;
}

static int check_log(struct verify *v, struct err *err)
{
    struct event_list list;
    while (v->position < v->head.position) {
        arena_reset(v->arena);
        if (eventlog_read(v->ctl->db, v->arena, v->position, CHUNK, &list, err) != 0)
            return -1;
        if (list.count == 0) {
            fail(err, ERR_CONFLICT, "position %" PRId64 " is missing from the log", v->position + 1);
            return differs(v, err);
        }
        for (size_t i = 0; i < list.count; i++)
            if (check_event(v, &list.events[i], err) != 0 || fold_event(v, &list.events[i], err) != 0)
                return -1;
    }
    if (memcmp(v->hash, v->head.hash, SHA256_SIZE) == 0 && v->position == v->head.position)
        return 0;
    fail(err, ERR_CONFLICT, "log_head does not agree with the last event, position %" PRId64, v->position);
    return differs(v, err);
}

static int check_versions(struct verify *v, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(
            v->ctl->db, v->arena,
            "SELECT stream FROM events GROUP BY stream HAVING COUNT(*) <> MAX(version) OR MIN(version) <> 1 LIMIT 1",
            NULL, 0, &rows, err) != 0)
        return -1;
    if (rows.count == 0)
        return 0;
    fail(err, ERR_CONFLICT, "stream %.64s: its versions are not 1, 2, 3, …", SQL_CELL(&rows, 0, 0).data);
    return differs(v, err);
}

static int compare_rows(struct verify *v, const struct read_model *model, const struct sql_rows *there,
                        const struct sql_rows *folded, size_t row, struct err *err)
{
    for (size_t c = 0; c < there->columns; c++) {
        struct str a = SQL_CELL(there, row, c), b = SQL_CELL(folded, row, c);
        if ((a.data == NULL) == (b.data == NULL) && a.len == b.len &&
            (a.len == 0 || memcmp(a.data, b.data, a.len) == 0))
            continue;
        fail(err, ERR_CONFLICT, "read model %s, %s: column %zu is not what the log says", model->table,
             SQL_CELL(folded, row, 0).data, c + 1);
        return differs(v, err);
    }
    return 0;
}

static int compare_page(struct verify *v, const struct read_model *model, const struct sql_rows *there,
                        const struct sql_rows *folded, struct err *err)
{
    size_t both = there->count < folded->count ? there->count : folded->count;
    for (size_t row = 0; row < both; row++) {
        int order = strcmp(SQL_CELL(there, row, 0).data, SQL_CELL(folded, row, 0).data);
        if (order != 0) {
            fail(err, ERR_CONFLICT, "read model %s, %s: the row is %s", model->table,
                 SQL_CELL(order < 0 ? there : folded, row, 0).data, order < 0 ? "not in the log" : "missing");
            return differs(v, err);
        }
        if (compare_rows(v, model, there, folded, row, err) != 0)
            return -1;
    }
    if (there->count == folded->count)
        return 0;
    const struct sql_rows *longer = there->count > folded->count ? there : folded;
    fail(err, ERR_CONFLICT, "read model %s, %s: the row is %s", model->table, SQL_CELL(longer, both, 0).data,
         longer == there ? "not in the log" : "missing");
    return differs(v, err);
}

static int compare_model(struct verify *v, const struct read_model *model, int64_t *count, struct err *err)
{
    char key[256] = "";
    struct sql_rows there, folded;
    do {
        arena_reset(v->arena);
        if (sql_select(v->ctl->db, v->arena, model->scan, SQL_ARGS(SQL_TEXT(key), SQL_INT(CHUNK)), &there, err) != 0 ||
            sql_select(v->fold, v->arena, model->scan, SQL_ARGS(SQL_TEXT(key), SQL_INT(CHUNK)), &folded, err) != 0 ||
            compare_page(v, model, &there, &folded, err) != 0)
            return -1;
        *count += (int64_t)there.count;
        if (there.count > 0)
            snprintf(key, sizeof key, "%s", SQL_CELL(&there, there.count - 1, 0).data);
    } while (there.count == CHUNK);
    return 0;
}

static int check_bus_end(struct verify *v, struct err *err)
{
    struct log_head now;
    sql_rollback(v->ctl->db);
    if (eventlog_head(v->ctl->db, v->arena, &now, err) != 0)
        return -1;
    if (v->bus_last <= now.position)
        return 0;
    fail(err, ERR_CONFLICT, "the bus is at %" PRId64 ", ahead of the log at %" PRId64, v->bus_last, now.position);
    return differs(v, err);
}

static int verify_all(struct verify *v, struct err *err)
{
    if (open_all(v, err) != 0 || check_log(v, err) != 0 || check_versions(v, err) != 0)
        return -1;
    printf("log      %" PRId64 " events: positions dense, digests and hashes right, versions whole\n", v->position);
    for (size_t i = 0; i < READ_MODEL_COUNT; i++) {
        int64_t count = 0;
        if (compare_model(v, &READ_MODELS[i], &count, err) != 0)
            return -1;
        printf("model    %s: %" PRId64 " rows, equal to the fold of the log\n", READ_MODELS[i].table, count);
    }
    if (check_bus_end(v, err) != 0)
        return -1;
    printf("bus      %" PRId64 " messages, a prefix of the log%s\n", v->bus_last,
           v->bus_last < v->position ? " (it is behind)" : "");
    return 0;
}

int ctl_verify(struct ctl *ctl, int argc, char **argv)
{
    (void)argv;
    struct verify v = {.ctl = ctl};
    struct err err = {0};
    if (argc != 1)
        return ctl_usage("verify");
    int status = verify_all(&v, &err) == 0 ? CTL_OK : v.different ? CTL_REFUSED : CTL_FAILED;
    if (status == CTL_REFUSED)
        printf("DIFFERENT %s\n", err.text);
    else if (status == CTL_FAILED)
        fprintf(stderr, "courantctl: %s\n", err.text);
    else
        printf("clean\n");
    close_all(&v);
    return status;
}
