/*
 * The change of places. See rebuild.h.
 *
 * One connection locks table and shadow, so that no command can change either, and brings the last events into the
 * shadow. A second one asks for the RENAME and waits; it stands before every command that waits too. A third table
 * holds the name that the old table is to get, and makes the RENAME fail, until the second is seen to wait: then it is
 * dropped and the locks are given back, and the RENAME comes first.
 *
 * A statement takes its tables' locks in the order of their names. The table's own comes before those of its sides, so
 * the RENAME waits for that one, and stands in its queue before every command; if it waited for a side, a command could
 * slip into the old table.
 */
#include "events/rebuild_internal.h"

#include "base/clock.h"
#include "base/fault.h"
#include "events/sides.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TRIES_MOST = 2000, PAUSE_US = 1000, CHUNK = 500, LAG_MOST = 100000 };

struct change {
    struct rebuild *r;
    const struct read_model *rows;
    struct rebuild_result *result;
    struct sql *locker, *renamer;
    int64_t renamer_id, position;
    struct arena *texts;
    const char *rename;
    pthread_t thread;
    int status;
    struct err err;
};

/* Seconds that a lock of a table is waited for: commands wait behind the one who waits. */
static const char *const PATIENCE = "SET SESSION lock_wait_timeout = 5";

static int open_connections(struct change *c, struct err *err)
{
    struct sql_rows rows;
    if (sql_open(&c->locker, c->r->conf, err) != 0 || sql_open(&c->renamer, c->r->conf, err) != 0 ||
        sql_script(c->locker, PATIENCE, strlen(PATIENCE), err) != 0 ||
        sql_script(c->renamer, PATIENCE, strlen(PATIENCE), err) != 0 ||
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

/* What the last events touched: the table's rows beside the shadow's. */
static int compare_touched(struct change *c, struct touched_list *touched, struct err *err)
{
    for (size_t i = 0; i < touched->count; i++)
        touched->items[i].row = NULL;
    if (touched_load(c->locker, c->r->arena, c->r->model, "", any, touched, err) != 0)
        return -1;
    for (size_t i = 0; i < touched->count; i++) {
        struct touched *item = &touched->items[i];
        c->result->rows++;
        rebuild_compare_rows(c->result, item->rows, item->id, item->row, item->state);
    }
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

/* The events after the shadow's position into it; one list, so that each state is that of the list's end. */
static int fold_some(struct change *c, struct sql *db, size_t limit, struct touched_list *touched, size_t *count,
                     struct err *err)
{
    struct event_list list;
    arena_reset(c->r->arena);
    if (eventlog_read(c->r->db, c->r->arena, c->position, limit, &list, err) != 0)
        return -1;
    if ((*count = list.count) > 0)
        c->position = list.events[list.count - 1].position;
    keep_own(c, &list);
    return rebuild_fold(c->r, db, &list, touched, err);
}

/* What was written while shadow and table were compared. A kill in here leaves a shadow that nobody goes on with. */
static int follow(struct change *c, struct err *err)
{
    struct touched_list touched;
    size_t count;
    fault_point("rebuild-forgotten");
    do {
        if (sql_begin(c->r->db, err) != 0 || fold_some(c, c->r->db, CHUNK, &touched, &count, err) != 0 ||
            sql_commit(c->r->db, err) != 0) {
            sql_rollback(c->r->db);
            return -1;
        }
    } while (count == CHUNK);
    return 0;
}

/* Under the lock nothing more of this model is written, so the log has an end. */
static int catch_up(struct change *c, struct err *err)
{
    struct log_head head;
    struct touched_list touched;
    size_t count;
    if (eventlog_head(c->r->db, c->r->arena, &head, err) != 0 ||
        fold_some(c, c->locker, LAG_MOST, &touched, &count, err) != 0)
        return -1;
    if (c->position < head.position)
        return fail(err, ERR_UNAVAILABLE, "the log runs ahead of the rebuild: try again when less is written");
    fault_point("rebuild-locked");
    return compare_touched(c, &touched, err);
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
        status = rebuild_script(c->locker, err, "DROP TABLE rebuild_old_%s", c->rows->name);
    if (sql_script(c->locker, "UNLOCK TABLES", 13, status == 0 ? err : NULL) != 0)
        status = -1;
    pthread_join(c->thread, NULL);
    if (status == 0 && c->status != 0) {
        *err = c->err;
        status = -1;
    }
    return status;
}

static int change_places(struct change *c, struct err *err)
{
    const char *name = c->rows->name;
    for (size_t i = 0; i < c->rows->side_count; i++)
        if (strcmp(c->rows->sides[i].name, name) <= 0)
            return fail(err, ERR_INTERNAL, "%s must sort after %s", c->rows->sides[i].name, name);
    /* The longest step, and until it is done a run that was broken off can be taken up. */
    if (sides_make(c->r->db, c->texts, c->rows, err) != 0)
        return -1;
    c->r->sides = true;
    if (rebuild_forget(c->r, c->rows, err) != 0 || follow(c, err) != 0 || open_connections(c, err) != 0 ||
        rebuild_script(c->locker, err, "CREATE TABLE rebuild_old_%s (nothing INT)", name) != 0)
        return -1;
    int64_t began = clock_steady();
    const char *locks = of_all(c, "LOCK TABLES ", "%s WRITE, rebuild_%s WRITE");
    c->rename = of_all(c, "RENAME TABLE ", "%s TO rebuild_old_%s, rebuild_%s TO %s");
    if (locks == NULL || c->rename == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for a statement");
    if (run(c->locker, arena_printf(c->texts, "%s, rebuild_old_%s WRITE", locks, name), err) != 0 ||
        catch_up(c, err) != 0)
        return -1;
    if (pthread_create(&c->thread, NULL, rename_main, c) != 0)
        return fail(err, ERR_UNAVAILABLE, "no thread to rename %s", name);
    int status = let_go(c, err);
    c->result->pause_us = clock_steady() - began;
    return status;
}

int rebuild_switch(struct rebuild *r, const struct read_model *rows, struct rebuild_result *result, struct err *err)
{
    struct change c = {.r = r, .rows = rows, .result = result, .position = r->position, .texts = arena_new(64 * 1024)};
    int status = c.texts != NULL ? change_places(&c, err) : fail(err, ERR_UNAVAILABLE, "no memory");
    arena_free(&c.texts);
    /* Closing gives back what is still locked. */
    sql_close(&c.renamer);
    sql_close(&c.locker);
    fault_point("rebuild-renamed");
    struct err *first = status == 0 ? err : NULL;
    if (rebuild_script(r->db, first, "DROP TABLE IF EXISTS rebuild_old_%s", rows->name) != 0 ||
        rebuild_sides_script(r->db, first, "DROP TABLE IF EXISTS rebuild_old_%s", rows) != 0)
        status = -1;
    return status;
}
