/*
 * One connection to MariaDB, with its prepared statements.
 *
 * SQL text is always a literal of the program and never holds a value: values travel as struct sql_arg.
 * Lifecycle: sql_open, any number of calls, sql_close. A lost connection is made again by the next call that is not
 * inside a transaction. Not safe for two threads at once.
 *
 * Errors: ERR_UNAVAILABLE the server cannot be reached or was lost; ERR_TRANSIENT deadlock or lock wait (the
 * transaction is rolled back); ERR_CONFLICT a unique key or a SIGNAL (sql_duplicate_key names it); ERR_INTERNAL all
 * else.
 */
#ifndef COURANT_SQL_DB_H
#define COURANT_SQL_DB_H

#include "base/arena.h"
#include "base/conf.h"
#include "base/err.h"

#include <stdint.h>

struct sql;

enum sql_type { SQL_ARG_NULL, SQL_ARG_INT, SQL_ARG_TEXT, SQL_ARG_BYTES };

struct sql_arg {
    enum sql_type type;
    int64_t number;
    struct str bytes; /* not owned; must live until the call that sends it returns */
};

#define SQL_INT(value) ((struct sql_arg){.type = SQL_ARG_INT, .number = (int64_t)(value)})
#define SQL_TEXT(text) sql_text(text)
#define SQL_STR(value) ((struct sql_arg){.type = SQL_ARG_TEXT, .bytes = (value)})
#define SQL_BYTES(at, size) ((struct sql_arg){.type = SQL_ARG_BYTES, .bytes = {(const char *)(at), (size)}})
#define SQL_ARGS(...) (struct sql_arg[]){__VA_ARGS__}, sizeof((struct sql_arg[]){__VA_ARGS__}) / sizeof(struct sql_arg)

/* Text; NULL in SQL where text is NULL. */
struct sql_arg sql_text(const char *text);

/* Rows of a result, all in the arena. A cell is text (or the bytes of a BINARY column), with a NUL after it. */
struct sql_rows {
    size_t count, columns;
    struct str *cells; /* row after row; data is NULL where the value is NULL */
};

#define SQL_CELL(rows, row, column) ((rows)->cells[(row) * (rows)->columns + (column)])
int64_t sql_number(struct str cell);

/* Connects at once; the configuration must outlive the connection. On failure *db is NULL. */
int sql_open(struct sql **db, const struct conf *conf, struct err *err);
void sql_close(struct sql **db);
/* Releases what the client library keeps for the process; once, when every connection is closed. */
void sql_end(void);
/* The same for a thread that has used connections, at its end. */
void sql_thread_end(void);

/* A statement that gives no rows. affected may be NULL. */
int sql_exec(struct sql *db, const char *text, const struct sql_arg *args, size_t count, int64_t *affected,
             struct err *err);
/*
 * A statement that gives rows and changes nothing: all of them, so text bounds their number (LIMIT). Outside a
 * transaction it is sent once more where the connection turns out to be lost.
 */
int sql_select(struct sql *db, struct arena *arena, const char *text, const struct sql_arg *args, size_t count,
               struct sql_rows *rows, struct err *err);

/* A transaction for work that needs what it read under a lock; ended by sql_batch_commit or sql_rollback. */
int sql_begin(struct sql *db, struct err *err);
/* A transaction in which every read sees the same moment; for reading only. */
int sql_begin_snapshot(struct sql *db, struct err *err);
int sql_commit(struct sql *db, struct err *err);
void sql_rollback(struct sql *db);
bool sql_in_transaction(const struct sql *db);

/* The unique key of the last ERR_CONFLICT, or the text of the SIGNAL that was its cause. */
const char *sql_duplicate_key(const struct sql *db);

/* True once after each new connection: what was known of the database from before it may be no longer so. */
bool sql_reconnected(struct sql *db);

/* Whether the connection broke during the last call, so that its effect is unknown. */
bool sql_lost(const struct sql *db);

/* Many rows at once: «INSERT INTO … VALUES» and the values, row after row; within a transaction all or none of them. */
int sql_insert(struct sql *db, struct arena *arena, const char *insert, const struct sql_arg *values, size_t columns,
               size_t rows, struct err *err);

/* A list of places for the values of an IN: «(?,?,…)». */
const char *sql_places(struct arena *arena, size_t count);

/* Statements of a file, without values (migrations). */
int sql_script(struct sql *db, const char *text, size_t len, struct err *err);

/*
 * A batch: fragments of SQL and their values, sent and committed in one round trip as one compound statement
 * («BEGIN NOT ATOMIC»). The server runs them in order; at the first error it rolls all of them back.
 *
 * A fragment is one or more statements, without the last semicolon; what it DECLAREs needs a BEGIN … END of its own,
 * which may span fragments.
 */
struct sql_batch;

struct sql_batch *sql_batch_new(struct arena *arena);
struct arena *sql_batch_arena(const struct sql_batch *batch);
void sql_batch_add(struct sql_batch *batch, const char *fragment, const struct sql_arg *args, size_t count);
/* A moment (microseconds) as DATETIME(6); its text lives in the batch's arena. INT64_MIN is NULL. */
struct sql_arg sql_moment(struct sql_batch *batch, int64_t moment);
/* A SELECT to run after the commit, whose rows sql_batch_commit hands back. */
void sql_batch_result(struct sql_batch *batch, const char *select);

/*
 * Sends the batch and commits, within the open transaction or in one of its own. On any error nothing of it is kept,
 * save where sql_lost: then it may or may not be. rows may be NULL.
 */
int sql_batch_commit(struct sql *db, struct sql_batch *batch, struct sql_rows *rows, struct err *err);

#endif
