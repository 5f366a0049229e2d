/* Folding into shadow tables and comparing. See rebuild.h; the change of places is in rebuild_switch.c. */
#include "events/rebuild_internal.h"

#include "base/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 2000, NEAR = 500, ARENA_LIMIT = 128 * 1024 * 1024 };

/* What program this is: another one may fold otherwise, so it does not go on with what this one has begun. */
static int read_program(char hex[2 * SHA256_SIZE + 1], struct err *err)
{
    unsigned char digest[SHA256_SIZE], bytes[65536];
    struct sha256 hash;
    FILE *file = fopen("/proc/self/exe", "re");
    if (file == NULL)
        return fail(err, ERR_INTERNAL, "/proc/self/exe cannot be read");
    sha256_start(&hash);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, file)) > 0;)
        sha256_add(&hash, bytes, got);
    bool whole = feof(file) != 0;
    fclose(file);
    sha256_end(&hash, digest);
    hex_encode(digest, SHA256_SIZE, hex);
    return whole ? 0 : fail(err, ERR_INTERNAL, "/proc/self/exe cannot be read");
}

int rebuild_script(struct sql *db, struct err *err, const char *format, const char *name)
{
    char text[512];
    size_t len = 0;
    for (const char *at = format; *at != '\0' && len + strlen(name) + 1 < sizeof text; at++) {
        if (at[0] != '%' || at[1] != 's') {
            text[len++] = *at;
            continue;
        }
        memcpy(text + len, name, strlen(name));
        len += strlen(name);
        at++;
    }
    return sql_script(db, text, len, err);
}

int rebuild_sides_script(struct sql *db, struct err *err, const char *format, const struct read_model *rows)
{
    for (size_t i = 0; i < rows->side_count; i++)
        if (rebuild_script(db, err, format, rows->sides[i].name) != 0)
            return -1;
    return 0;
}

/* Where a run of this program was broken off: -1 where there is none, or not for all of these models alike. */
static int find_position(struct rebuild *r, int64_t *position, struct err *err)
{
    struct sql_rows rows;
    *position = -1;
    for (size_t i = 0; r->models[i] != NULL; i++) {
        const char *shadow = arena_printf(r->arena, "rebuild_%s", r->models[i]->name);
        if (sql_select(r->db, r->arena,
                       "SELECT r.position FROM rebuilds AS r JOIN information_schema.tables AS t ON "
                       "t.table_schema = DATABASE() AND t.table_name = ? WHERE r.model = ? AND r.program = ?",
                       SQL_ARGS(SQL_TEXT(shadow), SQL_TEXT(r->models[i]->name), SQL_TEXT(r->program)), &rows, err) != 0)
            return -1;
        int64_t there = rows.count == 1 ? sql_number(SQL_CELL(&rows, 0, 0)) : -1;
        if (i > 0 && there != *position)
            there = -1;
        *position = there;
        if (there < 0)
            return 0;
    }
    return 0;
}

int rebuild_forget(struct rebuild *r, const struct read_model *rows, struct err *err)
{
    return sql_exec(r->db, "DELETE FROM rebuilds WHERE model = ?", SQL_ARGS(SQL_TEXT(rows->name)), NULL, err);
}

static int begin_afresh(struct rebuild *r, struct err *err)
{
    for (size_t i = 0; r->models[i] != NULL; i++) {
        const char *name = r->models[i]->name;
        /* The record goes first and comes last: where it is, the shadow is what it says. */
        if (rebuild_forget(r, r->models[i], err) != 0 ||
            rebuild_script(r->db, err, "DROP TABLE IF EXISTS rebuild_%s; CREATE TABLE rebuild_%s LIKE %s", name) != 0)
            return -1;
        fault_point("rebuild-created");
        if (sql_exec(r->db, "REPLACE INTO rebuilds (model, position, program) VALUES (?, 0, ?)",
                     SQL_ARGS(SQL_TEXT(name), SQL_TEXT(r->program)), NULL, err) != 0)
            return -1;
    }
    r->position = 0;
    return 0;
}

/* Two at once would fold into the same shadows. The lock goes with the connection. */
static int lock(struct rebuild *r, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(r->db, r->arena, "SELECT GET_LOCK('courant rebuild', 0)", NULL, 0, &rows, err) != 0)
        return -1;
    return sql_number(SQL_CELL(&rows, 0, 0)) == 1 ? 0 : fail(err, ERR_CONFLICT, "another rebuild is at work");
}

static int clear_leftovers(struct rebuild *r, struct err *err)
{
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (rebuild_script(r->db, err, "DROP TABLE IF EXISTS rebuild_old_%s", r->models[i]->name) != 0 ||
            rebuild_sides_script(r->db, err, "DROP TABLE IF EXISTS rebuild_old_%s", r->models[i]) != 0)
            return -1;
    return 0;
}

/* What is in the log by now is read by a thread. */
static int read_ahead(struct rebuild *r, struct err *err)
{
    struct log_head head;
    if (eventlog_head(r->db, r->arena, &head, err) != 0)
        return -1;
    return ahead_open(&r->ahead, r->conf, r->position, head.position, CHUNK, NULL, NULL, err);
}

int rebuild_open(struct rebuild **rebuild, const struct conf *conf, const struct model *model,
                 const struct read_model *const *models, struct err *err)
{
    struct rebuild *r = *rebuild = calloc(1, sizeof *r);
    if (r == NULL || (r->arena = arena_new(ARENA_LIMIT)) == NULL || (r->texts = arena_new(ARENA_LIMIT)) == NULL) {
        rebuild_close(rebuild);
        return fail(err, ERR_UNAVAILABLE, "no memory");
    }
    r->most = CHUNK;
    r->conf = conf;
    r->model = model;
    r->models = models;
    if (read_program(r->program, err) == 0 && sql_open(&r->db, conf, err) == 0 && lock(r, err) == 0 &&
        clear_leftovers(r, err) == 0 && find_position(r, &r->position, err) == 0 &&
        (r->position >= 0 || begin_afresh(r, err) == 0) && read_ahead(r, err) == 0)
        return 0;
    rebuild_close(rebuild);
    return -1;
}

void rebuild_close(struct rebuild **rebuild)
{
    if (*rebuild == NULL)
        return;
    ahead_close(&(*rebuild)->ahead);
    sql_close(&(*rebuild)->db);
    arena_free(&(*rebuild)->arena);
    arena_free(&(*rebuild)->texts);
    free(*rebuild);
    *rebuild = NULL;
}

int64_t rebuild_position(const struct rebuild *rebuild)
{
    return rebuild->position;
}

static bool is_chosen(const struct rebuild *r, const char *stream)
{
    const struct read_model *rows = model_of_stream(r->model, stream);
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (r->models[i] == rows)
            return true;
    return rows == NULL; /* an error, which touched_find names */
}

/* Leaves the events of other models away. */
static void choose(const struct rebuild *r, struct event_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (is_chosen(r, list->events[i].stream))
            list->events[count++] = list->events[i];
    list->count = count;
}

static bool may_be_there(const struct touched *item)
{
    return item->first > 1;
}

int rebuild_fold(struct rebuild *r, struct sql *db, const struct event_list *run, struct err *err)
{
    struct touched_list touched;
    if (touched_find(r->model, r->arena, run, &touched, err) != 0 ||
        touched_load(db, r->arena, r->model, "rebuild_", may_be_there, &touched, err) != 0)
        return -1;
    for (size_t i = 0; i < touched.count; i++)
        if (touched.items[i].row != NULL)
            memcpy(touched.items[i].state, touched.items[i].row, touched.items[i].rows->state_size);
    for (size_t i = 0; i < run->count; i++)
        if (touched.of[i] != NULL && model_fold(r->model, touched.of[i]->state, &run->events[i], r->arena, err) != 0)
            return -1;
    /* By a connection that holds no lock of tables: it could read no others. */
    if (touched_keys(r->db, r->arena, r->model, &touched, err) != 0)
        return -1;
    return touched_write(db, r->arena, r->model, "rebuild_", r->sides, &touched, err);
}

static int note_position(struct rebuild *r, int64_t position, struct err *err)
{
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (sql_exec(r->db, "UPDATE rebuilds SET position = ? WHERE model = ?",
                     SQL_ARGS(SQL_INT(position), SQL_TEXT(r->models[i]->name)), NULL, err) != 0)
            return -1;
    return 0;
}

static int read_chunk(struct rebuild *r, struct event_list *list, struct err *err)
{
    *list = (struct event_list){0};
    if (r->ahead != NULL && ahead_next(r->ahead, list, err) != 0)
        return -1;
    if (list->count > 0)
        return 0;
    ahead_close(&r->ahead);
    arena_reset(r->texts);
    return eventlog_read(r->db, r->texts, r->position, CHUNK, list, err);
}

/* A run of a chunk, or what of the chunk is of other models, and how far it goes. */
static int fold_upto(struct rebuild *r, const struct event_list *run, int64_t position, struct err *err)
{
    if (sql_begin(r->db, err) != 0 || (run->count > 0 && rebuild_fold(r, r->db, run, err) != 0) ||
        note_position(r, position, err) != 0 || sql_commit(r->db, err) != 0) {
        sql_rollback(r->db);
        return -1;
    }
    r->position = position;
    return 0;
}

static int fold_run(void *context, const struct event_list *run, struct err *err)
{
    return fold_upto(context, run, run->events[run->count - 1].position, err);
}

int rebuild_step(struct rebuild *r, struct err *err)
{
    struct event_list list;
    if (read_chunk(r, &list, err) != 0)
        return -1;
    if (list.count == 0)
        return 0;
    int64_t last = list.events[list.count - 1].position;
    bool near = r->ahead == NULL && list.count < NEAR && !list.more;
    choose(r, &list);
    if (touched_runs(r->arena, &r->most, &list, fold_run, r, err) != 0)
        return -1;
    list.count = 0;
    if (r->position < last && fold_upto(r, &list, last, err) != 0)
        return -1;
    return near ? 0 : 1;
}

void rebuild_differs(struct rebuild_result *result, const struct read_model *rows, const char *id, const char *what)
{
    if (result->differences < REBUILD_NAMED)
        snprintf(result->named[result->differences], sizeof result->named[0], "%s, %s: %s", rows->name, id, what);
    result->differences++;
}

void rebuild_compare_rows(struct rebuild_result *result, const struct read_model *rows, const char *id,
                          const void *table, const void *shadow)
{
    char what[128];
    if (table == NULL || shadow == NULL) {
        rebuild_differs(result, rows, id, table == NULL ? "the row is missing" : "the row is not in the log");
        return;
    }
    const struct column *column = state_difference(rows, table, shadow);
    if (column == NULL)
        return;
    snprintf(what, sizeof what, "column %s is not what the log says", column->name);
    rebuild_differs(result, rows, id, what);
}

int rebuild_drop(struct rebuild *r, struct err *err)
{
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (rebuild_forget(r, r->models[i], err) != 0 ||
            rebuild_script(r->db, err, "DROP TABLE IF EXISTS rebuild_%s", r->models[i]->name) != 0 ||
            rebuild_sides_script(r->db, err, "DROP TABLE IF EXISTS rebuild_%s", r->models[i]) != 0)
            return -1;
    return 0;
}
