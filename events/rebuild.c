/* Folding into shadow tables and comparing. See rebuild.h; the change of places is in rebuild_switch.c. */
#include "events/rebuild_internal.h"

#include "base/fault.h"
#include "base/hash.h"
#include "events/late_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DONE "done:"
#define MARKS "60" /* minutes for which a table that was made is not made once more */

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
        const char *shadow = arena_printf(r->arena, "zrebuild_%s", r->models[i]->name);
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

/* Leaves away what the run that was broken off had put in place, if what it left can be taken up. */
static int find_left(struct rebuild *r, const struct read_model *const *models, struct err *err)
{
    struct sql_rows rows;
    size_t count = 0;
    for (size_t i = 0; models[i] != NULL; i++) {
        const char *mark = arena_printf(r->arena, DONE "%s", models[i]->name);
        if (sql_select(
                r->db, r->arena,
                "SELECT 1 FROM rebuilds AS r JOIN information_schema.tables AS t ON t.table_schema = DATABASE() "
                "AND t.table_name = ? WHERE r.model = ? AND r.program = ? AND t.create_time > NOW() - INTERVAL " MARKS
                " MINUTE",
                SQL_ARGS(SQL_TEXT(models[i]->name), SQL_TEXT(mark), SQL_TEXT(r->program)), &rows, err) != 0)
            return -1;
        if (rows.count == 0)
            r->models[count++] = models[i];
    }
    return find_position(r, &r->position, err);
}

static int find_all(struct rebuild *r, const struct read_model *const *models, struct err *err)
{
    memset(r->models, 0, sizeof r->models);
    for (size_t i = 0; models[i] != NULL; i++)
        r->models[i] = models[i];
    if (sql_exec(r->db, "DELETE FROM rebuilds WHERE model LIKE '" DONE "%'", NULL, 0, NULL, err) != 0)
        return -1;
    return find_position(r, &r->position, err);
}

int rebuild_note_done(struct rebuild *r, const struct read_model *rows, struct err *err)
{
    return sql_exec(
        r->db, "REPLACE INTO rebuilds (model, position, program) VALUES (?, ?, ?)",
        SQL_ARGS(SQL_TEXT(arena_printf(r->arena, DONE "%s", rows->name)), SQL_INT(r->position), SQL_TEXT(r->program)),
        NULL, err);
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
            rebuild_script(r->db, err, "DROP TABLE IF EXISTS zrebuild_%s; CREATE TABLE zrebuild_%s LIKE %s", name) != 0)
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
    if (sql_select(r->db, r->arena, "SELECT GET_LOCK(CONCAT(DATABASE(), '.rebuild'), 0)", NULL, 0, &rows, err) != 0)
        return -1;
    return sql_number(SQL_CELL(&rows, 0, 0)) == 1 ? 0 : fail(err, ERR_UNAVAILABLE, "another rebuild is at work");
}

static int clear_leftovers(struct rebuild *r, const struct read_model *const *models, struct err *err)
{
    for (size_t i = 0; models[i] != NULL; i++)
        if (rebuild_script(r->db, err, "DROP TABLE IF EXISTS zrebuild_old_%s", models[i]->name) != 0 ||
            rebuild_sides_script(r->db, err, "DROP TABLE IF EXISTS zrebuild_old_%s", models[i]) != 0)
            return -1;
    return 0;
}

/*
 * What was done behind the noted position is at most a chunk. A commit of the run that was killed may still be on its
 * way: whoever gets the table's lock comes after it.
 */
static int go_on(struct rebuild *r, struct err *err)
{
    if (r->position <= 0)
        return begin_afresh(r, err);
    r->sure = r->position + CHUNK;
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (rebuild_script(r->db, err, "LOCK TABLES zrebuild_%s WRITE; UNLOCK TABLES", r->models[i]->name) != 0)
            return -1;
    return 0;
}

/* Unique ones would also be in the way of shards that are not at the same event. */
static int drop_keys(struct rebuild *r, struct err *err)
{
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (late_keys_drop(r->db, r->arena, r->models[i]->name, err) != 0)
            return -1;
    return 0;
}

static int open_shards(struct rebuild *r, struct err *err)
{
    for (size_t s = 0; s < REBUILD_SHARDS; s++) {
        struct shard *shard = &r->shards[s];
        *shard = (struct shard){.r = r, .arena = arena_new(ARENA_LIMIT / REBUILD_SHARDS), .most = CHUNK};
        if (shard->arena == NULL)
            return fail(err, ERR_UNAVAILABLE, "no memory");
        if (sql_open(&shard->db, r->conf, err) != 0)
            return -1;
    }
    return 0;
}

/* A log that is not what it was makes no tables. */
static int check_chain(void *context, struct event_list *list, struct err *err)
{
    struct rebuild *r = context;
    for (size_t i = 0; i < list->count; i++)
        if (event_check(&list->events[i], r->hash, err) != 0) {
            list->count = i;
            return -1;
        }
    return 0;
}

/* What is in the log by now is read by a thread. */
static int read_ahead(struct rebuild *r, struct err *err)
{
    struct log_head head;
    struct sql_rows rows;
    if (eventlog_head(r->db, r->arena, &head, err) != 0 ||
        sql_select(r->db, r->arena, "SELECT hash FROM events WHERE position = ?", SQL_ARGS(SQL_INT(r->position)), &rows,
                   err) != 0)
        return -1;
    if (rows.count == 1 && SQL_CELL(&rows, 0, 0).len == SHA256_SIZE)
        memcpy(r->hash, SQL_CELL(&rows, 0, 0).data, SHA256_SIZE);
    return ahead_open(&r->ahead, r->conf, r->position, head.position, CHUNK, check_chain, r, err);
}

int rebuild_open(struct rebuild **rebuild, const struct conf *conf, const struct model *model,
                 const struct read_model *const *models, bool takes_up, struct err *err)
{
    struct rebuild *r = *rebuild = calloc(1, sizeof *r);
    if (r == NULL || (r->arena = arena_new(ARENA_LIMIT)) == NULL || (r->texts = arena_new(ARENA_LIMIT)) == NULL) {
        rebuild_close(rebuild);
        return fail(err, ERR_UNAVAILABLE, "no memory");
    }
    r->most = CHUNK;
    r->conf = conf;
    r->model = model;
    if (read_program(r->program, err) == 0 && sql_open(&r->db, conf, err) == 0 && lock(r, err) == 0 &&
        (!takes_up || find_left(r, models, err) == 0) &&
        ((takes_up && r->position > 0) || find_all(r, models, err) == 0) && clear_leftovers(r, models, err) == 0 &&
        go_on(r, err) == 0 && drop_keys(r, err) == 0 && open_shards(r, err) == 0 && read_ahead(r, err) == 0)
        return 0;
    rebuild_close(rebuild);
    return -1;
}

void rebuild_close(struct rebuild **rebuild)
{
    if (*rebuild == NULL)
        return;
    ahead_close(&(*rebuild)->ahead);
    for (size_t s = 0; s < REBUILD_SHARDS; s++) {
        sql_close(&(*rebuild)->shards[s].db);
        arena_free(&(*rebuild)->shards[s].arena);
    }
    sql_close(&(*rebuild)->db);
    arena_free(&(*rebuild)->arena);
    arena_free(&(*rebuild)->texts);
    free(*rebuild);
    *rebuild = NULL;
}

const struct read_model *const *rebuild_models(const struct rebuild *rebuild)
{
    return rebuild->models;
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

static bool may_be_there(const struct touched *item)
{
    return item->first > 1;
}

static int fold_run(const struct rebuild *r, struct sql *db, struct sql *keys, struct arena *arena,
                    const struct event_list *run, struct err *err)
{
    struct touched_list touched;
    bool any = run->count > 0 && run->events[0].position <= r->sure;
    if (touched_find(r->model, arena, run, &touched, err) != 0 ||
        touched_load(db, arena, r->model, "zrebuild_", any ? NULL : may_be_there, &touched, err) != 0)
        return -1;
    for (size_t i = 0; i < touched.count; i++)
        if (touched.items[i].row != NULL)
            memcpy(touched.items[i].state, touched.items[i].row, touched.items[i].rows->state_size);
    for (size_t i = 0; i < run->count; i++) {
        const struct touched *item = touched.of[i];
        /* What was done before the run was broken off, and not noted, is in the row. */
        bool is_done = any && item != NULL && run->events[i].version <= state_version(item->rows, item->state);
        if (item != NULL && !is_done && model_fold(r->model, item->state, &run->events[i], arena, err) != 0)
            return -1;
    }
    if (touched_keys(keys, arena, r->model, &touched, err) != 0)
        return -1;
    return touched_write(db, arena, r->model, "zrebuild_", r->sides, &touched, err);
}

int rebuild_fold(struct rebuild *r, struct sql *db, const struct event_list *run, struct err *err)
{
    /* The keys by a connection that holds no lock of tables: it could read no others. */
    return fold_run(r, db, r->db, r->arena, run, err);
}

static int fold_shard_run(void *context, const struct event_list *run, struct err *err)
{
    const struct shard *shard = context;
    if (sql_begin(shard->db, err) == 0 && fold_run(shard->r, shard->db, shard->db, shard->arena, run, err) == 0 &&
        sql_commit(shard->db, err) == 0)
        return 0;
    sql_rollback(shard->db);
    return -1;
}

static void *fold_shard(void *context)
{
    struct shard *shard = context;
    shard->status = touched_runs(shard->arena, &shard->most, &shard->list, fold_shard_run, shard, &shard->err);
    return NULL;
}

static void *fold_shard_apart(void *context)
{
    fold_shard(context);
    sql_thread_end();
    return NULL;
}

/* Two may have stood in each other's way; what one of them has done of the chunk is in its rows. */
static int fold_alone(struct rebuild *r, struct shard *shard)
{
    if (shard->err.kind != ERR_TRANSIENT)
        return -1;
    r->sure = INT64_MAX;
    fold_shard(shard);
    return shard->status;
}

/* Gives each event of the models to the shard of its stream. */
static int divide(struct rebuild *r, const struct event_list *list, struct err *err)
{
    for (size_t s = 0; s < REBUILD_SHARDS; s++) {
        struct envelope *events = arena_alloc(r->arena, (list->count + 1) * sizeof *events);
        if (events == NULL)
            return fail(err, ERR_UNAVAILABLE, "no room for a chunk");
        r->shards[s].list = (struct event_list){.events = events};
    }
    for (size_t i = 0; i < list->count; i++) {
        struct event_list *part = &r->shards[hash_text(list->events[i].stream) % REBUILD_SHARDS].list;
        if (is_chosen(r, list->events[i].stream))
            part->events[part->count++] = list->events[i];
    }
    return 0;
}

static int fold_chunk(struct rebuild *r, struct err *err)
{
    size_t started = 1;
    while (started < REBUILD_SHARDS &&
           pthread_create(&r->shards[started].thread, NULL, fold_shard_apart, &r->shards[started]) == 0)
        started++;
    fold_shard(&r->shards[0]);
    for (size_t s = 1; s < started; s++)
        pthread_join(r->shards[s].thread, NULL);
    for (size_t s = started; s < REBUILD_SHARDS; s++)
        fold_shard(&r->shards[s]);
    for (size_t s = 0; s < REBUILD_SHARDS; s++)
        if (r->shards[s].status != 0 && fold_alone(r, &r->shards[s]) != 0) {
            *err = r->shards[s].err;
            return -1;
        }
    return 0;
}

static int note_position(struct rebuild *r, int64_t position, struct err *err)
{
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (sql_exec(r->db, "UPDATE rebuilds SET position = ? WHERE model = ?",
                     SQL_ARGS(SQL_INT(position), SQL_TEXT(r->models[i]->name)), NULL, err) != 0)
            return -1;
    return 0;
}

/* All up to here is in the shadows, and some more of it may be. */
static int reach(struct rebuild *r, int64_t position, struct err *err)
{
    if (sql_begin(r->db, err) != 0 || note_position(r, position, err) != 0 || sql_commit(r->db, err) != 0) {
        sql_rollback(r->db);
        return -1;
    }
    r->position = position;
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
    return eventlog_read(r->db, r->texts, r->position, CHUNK, list, err) == 0 ? check_chain(r, list, err) : -1;
}

int rebuild_step(struct rebuild *r, struct err *err)
{
    struct event_list list;
    arena_reset(r->arena);
    if (read_chunk(r, &list, err) != 0)
        return -1;
    bool near = r->ahead == NULL && list.count < NEAR && !list.more;
    int64_t last = list.count > 0 ? list.events[list.count - 1].position : r->position;
    if (divide(r, &list, err) != 0 || fold_chunk(r, err) != 0)
        return -1;
    fault_point("rebuild-folded");
    if (r->sure == INT64_MAX)
        r->sure = last;
    return reach(r, last, err) != 0 ? -1 : near ? 0 : 1;
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

int rebuild_finish(struct rebuild *r, struct err *err)
{
    for (size_t i = 0; r->models[i] != NULL; i++)
        if (rebuild_forget(r, r->models[i], err) != 0 ||
            rebuild_script(r->db, err, "DROP TABLE IF EXISTS zrebuild_%s", r->models[i]->name) != 0 ||
            rebuild_sides_script(r->db, err, "DROP TABLE IF EXISTS zrebuild_%s", r->models[i]) != 0)
            return -1;
    return sql_exec(r->db, "DELETE FROM rebuilds WHERE model LIKE '" DONE "%'", NULL, 0, NULL, err);
}
