/*
 * The change of places. See rebuild.h.
 *
 * One connection locks table and shadow, so that no command can change either, and brings the last events into the
 * shadow. A second one asks for the RENAME and waits; it stands before every command that waits too. A third table
 * holds the name that the old table is to get, and makes the RENAME fail, until the second is seen to wait: then it is
 * dropped and the locks are given back, and the RENAME comes first.
 *
 * A statement takes its tables' locks in the order of their names. The table's own comes before those of its sides, and
 * of all shadows and old tables, whose names begin with a z for that. So the RENAME waits for that one, and stands in
 * its queue before every command; if it waited for another, a command could slip into the old table.
 */
#include "events/rebuild_internal.h"

#include "base/clock.h"
#include "base/fault.h"
#include "events/late_keys.h"
#include "events/sides.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIES_MOST = 2000, PAUSE_US = 1000, CHUNK = 500, LAG_MOST = 100000, IDS_BYTES = 16 * 1024 * 1024, ROWS = 16 };
enum { LOCK_TRIES = 15, REST_S = 3 };

struct change {
    struct rebuild *r;
    const struct read_model *rows;
    struct rebuild_result *result;
    struct sql *locker, *renamer;
    int64_t renamer_id, position, began; /* began: clock_steady, when commands had to wait */
    unsigned char hash[SHA256_SIZE]; /* of the event there */
    struct arena *texts, *ids;
    const char **touched; /* what the last events touched, in their order */
    size_t touched_count;
    const char *rename;
    pthread_t thread;
    int status;
    struct err err;
};

/* Seconds that a lock of a table is waited for: commands wait behind the one who waits. */
static const char *const PATIENCE = "SET SESSION lock_wait_timeout = 1";
static const char *const RENAMERS_PATIENCE = "SET SESSION lock_wait_timeout = 5";

/* What is written under the lock is synced once a run, and a run that is too long is taken back. */
static const char *const BY_HAND = "SET SESSION autocommit = 0";

static int open_connections(struct change *c, struct err *err)
{
    struct sql_rows rows;
    if (sql_open(&c->locker, c->r->conf, err) != 0 || sql_open(&c->renamer, c->r->conf, err) != 0 ||
        sql_script(c->locker, PATIENCE, strlen(PATIENCE), err) != 0 ||
        sql_script(c->locker, BY_HAND, strlen(BY_HAND), err) != 0 ||
        sql_script(c->renamer, RENAMERS_PATIENCE, strlen(RENAMERS_PATIENCE), err) != 0 ||
        sql_select(c->renamer, c->r->arena, "SELECT CONNECTION_ID()", NULL, 0, &rows, err) != 0)
        return -1;
    c->renamer_id = sql_number(SQL_CELL(&rows, 0, 0));
    return 0;
}

static bool any(const struct touched *item)
{
    (void)item;
    return true;
}

/* The rows of a table beside those ids, as states; NULL where there is none. */
static int load_rows(struct change *c, const char *prefix, const char *const *ids, size_t count, void *rows[ROWS],
                     struct err *err)
{
    struct touched items[ROWS] = {0};
    struct touched_list list = {.count = count, .items = items};
    for (size_t i = 0; i < count; i++)
        items[i] = (struct touched){.id = ids[i], .rows = c->rows};
    if (touched_load(c->locker, c->r->arena, c->r->model, prefix, any, &list, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        rows[i] = items[i].row;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What the last events touched: the table's rows beside the shadow's, where they ended. */
static int compare_touched(struct change *c, struct err *err)
{
    void *there[ROWS], *folded[ROWS];
    size_t count = 0;
    qsort(c->touched, c->touched_count, sizeof *c->touched, by_id);
    for (size_t i = 0; i < c->touched_count; i++)
        if (count == 0 || strcmp(c->touched[count - 1], c->touched[i]) != 0)
            c->touched[count++] = c->touched[i];
    for (size_t at = 0; at < count; at += ROWS) {
        size_t some = count - at < ROWS ? count - at : ROWS;
        arena_reset(c->r->arena);
        if (load_rows(c, "", c->touched + at, some, there, err) != 0 ||
            load_rows(c, "zrebuild_", c->touched + at, some, folded, err) != 0)
            return -1;
        for (size_t i = 0; i < some; i++)
            rebuild_compare_rows(c->result, c->rows, c->touched[at + i], there[i], folded[i]);
    }
    c->result->rows += (int64_t)count;
    return 0;
}

/* Keeps the events of this one model. */
static void keep_own(const struct change *c, struct event_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (model_of_stream(c->r->model, list->events[i].stream) == c->rows)
            list->events[count++] = list->events[i];
    list->count = count;
}

/* The events after the shadow's position, a chunk of them; more: whether others may come at once. */
static int read_some(struct change *c, struct event_list *list, bool *more, struct err *err)
{
    arena_reset(c->r->texts);
    if (eventlog_read(c->r->db, c->r->texts, c->position, CHUNK, list, err) != 0)
        return -1;
    for (size_t i = 0; i < list->count; i++)
        if (event_check(&list->events[i], c->hash, err) != 0)
            return -1;
    *more = list->more;
    c->position += (int64_t)list->count;
    keep_own(c, list);
    return 0;
}

static int follow_run(void *context, const struct event_list *run, struct err *err)
{
    struct change *c = context;
    if (sql_begin(c->r->db, err) == 0 && rebuild_fold(c->r, c->r->db, run, err) == 0 && sql_commit(c->r->db, err) == 0)
        return 0;
    sql_rollback(c->r->db);
    return -1;
}

/* What was written while shadow and table were compared. A kill in here leaves a shadow that nobody goes on with. */
static int follow(struct change *c, struct err *err)
{
    struct event_list list;
    bool more = true;
    fault_point("rebuild-forgotten");
    while (more)
        if (read_some(c, &list, &more, err) != 0 ||
            touched_runs(c->r->arena, &c->r->most, &list, follow_run, c, err) != 0)
            return -1;
    return 0;
}

/* The locks of tables outlive the transactions of the connection that has them, which begin by themselves. */
static int locked_run(void *context, const struct event_list *run, struct err *err)
{
    struct change *c = context;
    if (rebuild_fold(c->r, c->locker, run, err) == 0)
        return sql_script(c->locker, "COMMIT", 6, err);
    struct err lost;
    if (sql_script(c->locker, "ROLLBACK", 8, &lost) != 0)
        *err = lost;
    return -1;
}

static int note_touched(struct change *c, const struct event_list *list, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *id = arena_copy_z(c->ids, list->events[i].stream + strlen(c->rows->category) + 1);
        if (id == NULL)
            return fail(err, ERR_UNAVAILABLE, "no room to compare");
        c->touched[c->touched_count++] = id;
    }
    return 0;
}

/* Under the lock nothing more of this model is written, so the log has an end. */
static int catch_up(struct change *c, struct err *err)
{
    struct log_head head;
    struct event_list list;
    bool more = true;
    arena_reset(c->r->arena);
    if (eventlog_head(c->r->db, c->r->arena, &head, err) != 0)
        return -1;
    c->touched = arena_alloc(c->ids, (LAG_MOST + CHUNK) * sizeof *c->touched);
    if (c->touched == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room to compare");
    while (more && c->position < head.position && head.position - c->position <= LAG_MOST)
        if (read_some(c, &list, &more, err) != 0 || note_touched(c, &list, err) != 0 ||
            touched_runs(c->r->arena, &c->r->most, &list, locked_run, c, err) != 0)
            return -1;
    if (c->position < head.position)
        return fail(err, ERR_UNAVAILABLE, "the log runs ahead of the rebuild: try again when less is written");
    fault_point("rebuild-locked");
    return compare_touched(c, err);
}

/* Text about the table and about each of its sides, in which %s is a name, with commas between. */
static const char *of_all(const struct change *c, const char *begin, const char *format)
{
    struct buf buf;
    buf_init(&buf, c->texts);
    buf_puts(&buf, begin);
    for (size_t i = 0; i <= c->rows->side_count; i++) {
        const char *name = i == 0 ? c->rows->name : c->rows->sides[i - 1].name;
        buf_puts(&buf, i > 0 ? ", " : "");
        for (const char *at = format; *at != '\0'; at++)
            if (at[0] == '%' && at[1] == 's')
                buf_puts(&buf, name), at++;
            else
                buf_add(&buf, at, 1);
    }
    buf_add(&buf, "", 1);
    return buf.failed ? NULL : buf.data;
}

static int run(struct sql *db, const char *text, struct err *err)
{
    return text != NULL ? sql_script(db, text, strlen(text), err)
                        : fail(err, ERR_UNAVAILABLE, "no room for a statement");
}

static void *rename_main(void *context)
{
    struct change *c = context;
    c->status = run(c->renamer, c->rename, &c->err);
    sql_thread_end();
    return NULL;
}

/* Until the RENAME stands in the queue. */
static int await_renamer(struct change *c, struct err *err)
{
    struct sql_rows rows;
    const struct timespec moment = {0, PAUSE_US * 1000L};
    for (int try = 0; try < TRIES_MOST; try++) {
        arena_reset(c->r->arena);
        if (sql_select(c->r->db, c->r->arena, "SELECT state FROM information_schema.processlist WHERE id = ?",
                       SQL_ARGS(SQL_INT(c->renamer_id)), &rows, err) != 0)
            return -1;
        if (rows.count == 1 && SQL_CELL(&rows, 0, 0).data != NULL &&
            strstr(SQL_CELL(&rows, 0, 0).data, "metadata lock") != NULL)
            return 0;
        nanosleep(&moment, NULL);
    }
    return fail(err, ERR_UNAVAILABLE, "the renaming of %s did not begin", c->rows->name);
}

/* The renamer waits: from here on it is the first in the queue. */
static int let_go(struct change *c, struct err *err)
{
    int status = await_renamer(c, err);
    if (status == 0)
        status = rebuild_script(c->locker, err, "DROP TABLE zrebuild_old_%s", c->rows->name);
    if (sql_script(c->locker, "UNLOCK TABLES", 13, status == 0 ? err : NULL) != 0)
        status = -1;
    pthread_join(c->thread, NULL);
    if (status == 0 && c->status != 0) {
        *err = c->err;
        status = -1;
    }
    return status;
}

/* Who reads the tables in a long transaction, a verify or a dump, holds them for as long; commands go on meanwhile. */
static int lock_tables(struct change *c, const char *locks, bool follows, struct err *err)
{
    const struct timespec rest = {REST_S, 0};
    for (int try = 0; try < LOCK_TRIES; try++) {
        if (try > 0)
            nanosleep(&rest, NULL);
        if (follows && follow(c, err) != 0)
            return -1;
        c->began = clock_steady();
        if (run(c->locker, locks, err) == 0)
            return 0;
        if (err->kind != ERR_TRANSIENT)
            return -1;
    }
    return fail(err, ERR_UNAVAILABLE,
                "%s is being read in a long transaction, such as courantctl verify or a dump: try again after it",
                c->rows->name);
}

static int check_order(const struct read_model *rows, struct err *err)
{
    for (size_t i = 0; i < rows->side_count; i++)
        if (strcmp(rows->sides[i].name, rows->name) <= 0 || strcmp(rows->sides[i].name, "zrebuild_") >= 0)
            return fail(err, ERR_INTERNAL, "%s must sort after %s", rows->sides[i].name, rows->name);
    if (strcmp(rows->name, "zrebuild_") >= 0)
        return fail(err, ERR_INTERNAL, "%s must sort before its shadow", rows->name);
    return 0;
}

static int change_places(struct change *c, struct err *err)
{
    const char *name = c->rows->name;
    if (check_order(c->rows, err) != 0)
        return -1;
    /* The longest step, and until it is done a run that was broken off can be taken up. */
    if (late_keys_make(c->r->db, c->texts, name, err) != 0 || sides_make(c->r->db, c->texts, c->rows, err) != 0)
        return -1;
    c->r->sides = true;
    /* Where they cannot be had, the run can still be taken up. */
    if (open_connections(c, err) != 0 || lock_tables(c, of_all(c, "LOCK TABLES ", "%s WRITE"), false, err) != 0 ||
        sql_script(c->locker, "UNLOCK TABLES", 13, err) != 0 || rebuild_forget(c->r, c->rows, err) != 0 ||
        rebuild_script(c->locker, err, "CREATE TABLE zrebuild_old_%s (nothing INT)", name) != 0)
        return -1;
    const char *locks = of_all(c, "LOCK TABLES ", "%s WRITE, zrebuild_%s WRITE");
    c->rename = of_all(c, "RENAME TABLE ", "%s TO zrebuild_old_%s, zrebuild_%s TO %s");
    if (locks == NULL || c->rename == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    if (lock_tables(c, arena_printf(c->texts, "%s, zrebuild_old_%s WRITE", locks, name), true, err) != 0)
        return -1;
    if (catch_up(c, err) != 0)
        return -1;
    if (pthread_create(&c->thread, NULL, rename_main, c) != 0)
        return fail(err, ERR_UNAVAILABLE, "no thread to rename %s", name);
    int status = let_go(c, err);
    c->result->pause_us = clock_steady() - c->began;
    return status;
}

int rebuild_switch(struct rebuild *r, const struct read_model *rows, struct rebuild_result *result, struct err *err)
{
    struct change c = {.r = r,
                       .rows = rows,
                       .result = result,
                       .position = r->position,
                       .texts = arena_new(1024 * 1024),
                       .ids = arena_new(IDS_BYTES)};
    memcpy(c.hash, r->hash, SHA256_SIZE);
    int status = c.texts != NULL && c.ids != NULL ? change_places(&c, err) : fail(err, ERR_UNAVAILABLE, "no memory");
    arena_free(&c.ids);
    arena_free(&c.texts);
    /* Closing gives back what is still locked. */
    sql_close(&c.renamer);
    sql_close(&c.locker);
    fault_point("rebuild-renamed");
    /* Whoever remembers what the old table said reads anew (events/known.h), for the two may have differed. */
    if (status == 0)
        status = sql_exec(r->db, "UPDATE log_head SET names = names + 1 WHERE one = 1", NULL, 0, NULL, err);
    if (status == 0)
        status = rebuild_note_done(r, rows, err);
    fault_point("rebuild-noted");
    struct err *first = status == 0 ? err : NULL;
    if (rebuild_script(r->db, first, "DROP TABLE IF EXISTS zrebuild_old_%s", rows->name) != 0 ||
        rebuild_sides_script(r->db, first, "DROP TABLE IF EXISTS zrebuild_old_%s", rows) != 0)
        status = -1;
    return status;
}
