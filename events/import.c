/* See import.h. */
#include "events/import.h"

#include "base/json.h"
#include "events/touched.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 500, ARENA_LIMIT = 128 * 1024 * 1024, COLUMNS = 11 };

struct import {
    struct sql *db;
    const struct model *model;
    struct arena *arena; /* for the events of one chunk */
    struct arena *folds; /* for one run of them */
    size_t most, bytes;
    int64_t before; /* the log's end */
    bool lost;      /* nothing more may be written */
    int64_t line, fault; /* the last one that was taken; the one that could not be folded */
    struct log_head head;
    struct envelope events[CHUNK];
    int64_t lines[CHUNK];
    size_t count;
};

struct str export_line(struct arena *arena, const struct envelope *event)
{
    char hash[2 * SHA256_SIZE + 1];
    struct buf buf;
    struct str message = event_message(arena, event);
    if (message.data == NULL)
        return message;
    hex_encode(event->hash, SHA256_SIZE, hash);
    buf_init(&buf, arena);
    buf_add(&buf, message.data, message.len - 1);
    buf_printf(&buf, ",\"hash\":\"%s\"}", hash);
    return buf.failed ? (struct str){NULL, 0} : buf_str(&buf);
}

/* err gets the line before its text; it is the operator's file that is at fault, if it was not the database. */
static int at_line(int64_t line, struct err *err)
{
    char where[40];
    snprintf(where, sizeof where, "line %" PRId64, line);
    fail_within(err, where);
    if (err->kind != ERR_UNAVAILABLE && err->kind != ERR_TRANSIENT)
        err->kind = ERR_INVALID;
    return -1;
}

int import_begin(struct import **import, struct sql *db, const struct model *model, struct err *err)
{
    struct import *m = *import = calloc(1, sizeof *m);
    if (m == NULL || (m->arena = arena_new(ARENA_LIMIT)) == NULL || (m->folds = arena_new(ARENA_LIMIT)) == NULL) {
        import_close(import);
        return fail(err, ERR_UNAVAILABLE, "no memory");
    }
    m->most = CHUNK;
    m->db = db;
    m->model = model;
    if (eventlog_head(db, m->arena, &m->head, err) == 0) {
        m->before = m->head.position;
        return 0;
    }
    import_close(import);
    return -1;
}

/* With the first lines there: until then commands need not wait. */
static int lock_log(struct import *m, struct err *err)
{
    struct sql_rows rows;
    if (sql_in_transaction(m->db))
        return 0;
    if (sql_begin(m->db, err) != 0 ||
        sql_select(m->db, m->arena, "SELECT position FROM log_head WHERE one = 1 FOR UPDATE", NULL, 0, &rows, err) != 0)
        return -1;
    return rows.count == 1 && sql_number(SQL_CELL(&rows, 0, 0)) == m->before
               ? 0
               : fail(err, ERR_CONFLICT, "the log has grown past position %" PRId64 " meanwhile", m->before);
}

void import_close(struct import **import)
{
    if (*import == NULL)
        return;
    if ((*import)->db != NULL)
        sql_rollback((*import)->db);
    arena_free(&(*import)->folds);
    arena_free(&(*import)->arena);
    free(*import);
    *import = NULL;
}

static int check_chain(struct import *m, const struct envelope *event, const char *hex, struct err *err)
{
    unsigned char hash[SHA256_SIZE];
    if (event->position != m->head.position + 1)
        return fail(err, ERR_INVALID, "this is position %" PRId64 ", but %" PRId64 " is to be the next of this log",
                    event->position, m->head.position + 1);
    if (hex == NULL || !hex_decode(hex, strlen(hex), hash, SHA256_SIZE) || memcmp(hash, event->hash, SHA256_SIZE) != 0)
        return fail(err, ERR_INVALID, "position %" PRId64 ": the hash does not follow from the one before",
                    event->position);
    return 0;
}

static int insert_events(struct import *m, size_t from, size_t count, struct err *err)
{
    static const char *const INSERT = "INSERT INTO events (position, id, stream, version, type, audience, data, "
                                      "metadata, recorded_at, digest, hash) VALUES";
    struct sql_batch *moments = sql_batch_new(m->arena);
    struct sql_arg *values = arena_alloc(m->arena, count * COLUMNS * sizeof *values);
    if (moments == NULL || values == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for events");
    for (size_t i = 0; i < count; i++) {
        const struct envelope *event = &m->events[from + i];
        const struct sql_arg row[COLUMNS] = {SQL_INT(event->position),
                                             SQL_TEXT(event->id),
                                             SQL_TEXT(event->stream),
                                             SQL_INT(event->version),
                                             SQL_TEXT(event->type),
                                             SQL_TEXT(event->audience),
                                             SQL_STR(event->data),
                                             SQL_STR(event->metadata),
                                             sql_moment(moments, event->recorded_at),
                                             SQL_BYTES(event->digest, SHA256_SIZE),
                                             SQL_BYTES(event->hash, SHA256_SIZE)};
        memcpy(values + i * COLUMNS, row, sizeof row);
    }
    return sql_insert(m->db, m->arena, INSERT, values, COLUMNS, count, err);
}

static bool is_old(const struct touched *item)
{
    return item->first > 1;
}

static int fold(struct import *m, const struct event_list *run, struct err *err)
{
    struct touched_list touched;
    const int64_t *lines = &m->lines[run->events - m->events];
    m->fault = lines[0];
    if (touched_find(m->model, m->folds, run, &touched, err) != 0 ||
        touched_load(m->db, m->folds, m->model, "", is_old, &touched, err) != 0)
        return -1;
    for (size_t i = 0; i < touched.count; i++)
        if (touched.items[i].row != NULL)
            memcpy(touched.items[i].state, touched.items[i].row, touched.items[i].rows->state_size);
    for (size_t i = 0; i < run->count; i++) {
        m->fault = lines[i];
        const struct envelope *event = &run->events[i];
        if ((touched.of[i] != NULL ? model_fold(m->model, touched.of[i]->state, event, m->folds, err)
                                   : eventlog_follows(m->db, m->folds, event, err)) != 0)
            return -1;
    }
    if (touched_keys(m->db, m->folds, m->model, &touched, err) != 0)
        return -1;
    return touched_write(m->db, m->folds, m->model, "", true, &touched, err);
}

static int script(struct import *m, const char *text, struct err *err)
{
    return sql_script(m->db, text, strlen(text), err);
}

static int undo(struct import *m, struct err *err)
{
    return script(m, "ROLLBACK TO SAVEPOINT run", err);
}

/* Event by event, so that the line of the one that cannot be written is known. */
static int fold_singly(struct import *m, const struct event_list *run, struct err *err)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct event_list one = {.events = &run->events[i], .count = 1};
        arena_reset(m->folds);
        if (fold(m, &one, err) != 0)
            return -1;
    }
    return 0;
}

/* Whether it is one of the events that is at fault. */
static bool names_a_line(const struct import *m, const struct err *err)
{
    return err->kind != ERR_UNAVAILABLE && err->kind != ERR_TRANSIENT && !arena_exhausted(m->folds);
}

/* Of what cannot be undone the failure is the cause, and nothing more may be written: no smaller run is tried. */
static int undo_run(struct import *m, const struct err *err)
{
    struct err lost;
    if (err->kind != ERR_TRANSIENT && undo(m, &lost) == 0)
        return 0;
    m->lost = true;
    return -1;
}

/* Folds a run of the chunk's events into the read models themselves; all of it, or nothing. */
static int fold_run(void *context, const struct event_list *run, struct err *err)
{
    struct import *m = context;
    if (m->lost)
        return fail(err, ERR_UNAVAILABLE, "what could not be folded at once could not be undone");
    if (script(m, "SAVEPOINT run", err) != 0)
        return -1;
    if (fold(m, run, err) == 0)
        return 0;
    bool named = names_a_line(m, err) && run->count > 1;
    return undo_run(m, err) == 0 && named ? fold_singly(m, run, err) : -1;
}

/* 1 when another event than this one is in the log as this one, with its id or its version of the stream; 0, or -1. */
static int is_there(struct import *m, const struct envelope *event, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(
            m->db, m->arena,
            "SELECT 1 FROM events WHERE position <> ? AND (id = ? OR (stream = ? AND version = ?)) LIMIT 1",
            SQL_ARGS(SQL_INT(event->position), SQL_TEXT(event->id), SQL_TEXT(event->stream), SQL_INT(event->version)),
            &rows, err) != 0)
        return -1;
    return rows.count > 0;
}

static bool same(const struct envelope *a, const struct envelope *b)
{
    return strcmp(a->id, b->id) == 0 || (a->version == b->version && strcmp(a->stream, b->stream) == 0);
}

/* Which line holds an event that is there already, in the log or on an earlier line. */
static int64_t line_of_duplicate(struct import *m)
{
    struct err err;
    for (size_t i = 0; i < m->count; i++) {
        bool twice = is_there(m, &m->events[i], &err) == 1;
        for (size_t k = 0; k < i && !twice; k++)
            twice = same(&m->events[i], &m->events[k]);
        if (twice)
            return m->lines[i];
    }
    return m->lines[m->count - 1];
}

/* The first event that the table does not take. */
static int64_t line_of_refused(struct import *m)
{
    struct err err;
    if (script(m, "ROLLBACK TO SAVEPOINT run", &err) != 0)
        return m->lines[0];
    for (size_t i = 0; i < m->count; i++)
        if (insert_events(m, i, 1, &err) != 0)
            return m->lines[i];
    return m->lines[0];
}

static int insert_all(struct import *m, struct err *err)
{
    if (script(m, "SAVEPOINT run", err) != 0)
        return at_line(m->lines[0], err);
    if (insert_events(m, 0, m->count, err) == 0)
        return 0;
    return at_line(err->kind == ERR_CONFLICT ? line_of_duplicate(m)
                   : names_a_line(m, err)    ? line_of_refused(m)
                                             : m->lines[0],
                   err);
}

static int flush(struct import *m, struct err *err)
{
    const struct event_list list = {.events = m->events, .count = m->count};
    if (m->count == 0)
        return 0;
    if (lock_log(m, err) != 0 || insert_all(m, err) != 0)
        return -1;
    if (touched_runs(m->folds, &m->most, &list, fold_run, m, err) != 0)
        return at_line(m->fault, err);
    m->count = m->bytes = 0;
    arena_reset(m->arena);
    return 0;
}

int import_line(struct import *m, const char *text, size_t len, struct err *err)
{
    struct envelope *event = &m->events[m->count];
    m->line++;
    if (event_from_message(m->arena, text, len, event, err) != 0)
        return at_line(m->line, err);
    event_chain(m->head.hash, event->digest, event->hash);
    if (check_chain(m, event, json_text(m->arena, json_member((struct str){text, len}, "hash")).data, err) != 0)
        return at_line(m->line, err);
    m->head.position = event->position;
    memcpy(m->head.hash, event->hash, SHA256_SIZE);
    m->lines[m->count++] = m->line;
    m->bytes += len;
    return m->count == CHUNK || m->bytes > EVENTS_BYTES ? flush(m, err) : 0;
}

int import_commit(struct import *m, struct log_head *head, struct err *err)
{
    *head = m->head;
    if (flush(m, err) != 0)
        return -1;
    if (!sql_in_transaction(m->db))
        return 0; /* there was no line */
    if (sql_exec(m->db, "UPDATE log_head SET position = ?, hash = ?, names = names + 1 WHERE one = 1",
                 SQL_ARGS(SQL_INT(head->position), SQL_BYTES(head->hash, SHA256_SIZE)), NULL, err) != 0)
        return -1;
    return sql_commit(m->db, err);
}
