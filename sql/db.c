/* The connection, statements and rows. See db.h. */
#include "sql/db.h"

#include "base/hash.h"
#include "base/log.h"
#include "sql/internal.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_S = 5, REPLY_TIMEOUT_S = 30, STATEMENTS = 96, INLINE_CELL = 1024 };

static const char *const SESSION =
    "SET SESSION tx_isolation = 'READ-COMMITTED', SESSION autocommit = 1, SESSION time_zone = '+00:00', "
    "SESSION innodb_lock_wait_timeout = 5, SESSION max_statement_time = 0, "
    "SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'";

struct statement {
    char *text;
    uint64_t hash;
    MYSQL_STMT *handle;
    uint64_t used;
};

struct sql {
    const struct conf *conf;
    MYSQL *handle;
    bool broken, in_transaction, reconnected;
    bool elsewhere; /* the server takes no changes: the next transaction, or statement, is for another connection */
    bool undone; /* the transaction: by the server, which took it for a deadlock's victim */
    char duplicate[128];
    struct statement statements[STATEMENTS];
    uint64_t clock;
};

struct sql_arg sql_text(const char *text)
{
    if (text == NULL)
        return (struct sql_arg){.type = SQL_ARG_NULL};
    return (struct sql_arg){.type = SQL_ARG_TEXT, .bytes = str_of(text)};
}

int64_t sql_number(struct str cell)
{
    return cell.data != NULL ? strtoll(cell.data, NULL, 10) : 0;
}

const char *sql_duplicate_key(const struct sql *db)
{
    return db->duplicate;
}

bool sql_lost(const struct sql *db)
{
    return db->broken;
}

bool sql_reconnected(struct sql *db)
{
    bool reconnected = db->reconnected;
    db->reconnected = false;
    return reconnected;
}

bool sql_in_transaction(const struct sql *db)
{
    return db->in_transaction;
}

/* «Duplicate entry 'x' for key 'name'»: the entry is data and stays out of errors and logs. */
static void note_duplicate(struct sql *db, const char *message)
{
    const char *key = strstr(message, " for key '");
    const char *last = key;
    while (last != NULL && (last = strstr(last + 1, " for key '")) != NULL)
        key = last;
    db->duplicate[0] = '\0';
    if (key != NULL)
        strncat(db->duplicate, key + 10, strcspn(key + 10, "'") < 127 ? strcspn(key + 10, "'") : 127);
}

static int failed(struct sql *db, unsigned number, const char *message, struct err *err)
{
    switch (number) {
    case ER_LOCK_DEADLOCK:
        db->undone = true;
        return fail(err, ERR_TRANSIENT, "database: %s", message);
    case ER_LOCK_WAIT_TIMEOUT:
        return fail(err, ERR_TRANSIENT, "database: %s", message);
    case ER_DUP_ENTRY:
        note_duplicate(db, message);
        return fail(err, ERR_CONFLICT, "database: duplicate entry for key %s", db->duplicate);
    case ER_NO_SUCH_TABLE:
    case ER_BAD_FIELD_ERROR:
        return fail(err, ERR_INTERNAL, "database: %s: is it migrated? See courantctl migrate", message);
    case ER_SIGNAL_EXCEPTION:
        snprintf(db->duplicate, sizeof db->duplicate, "%.100s", message);
        return fail(err, ERR_CONFLICT, "database: %.100s", message);
    /* A primary that is a replica by now, a cluster that is not ready: the next connection may find another one. */
    case ER_OPTION_PREVENTS_STATEMENT:
    case ER_READ_ONLY_MODE:
    case ER_UNKNOWN_COM_ERROR:
        db->elsewhere = true;
        return fail(err, ERR_UNAVAILABLE, "database: %s", message);
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL:
        return fail(err, ERR_UNAVAILABLE, "database: %s", message);
    case ER_STATEMENT_TIMEOUT:
        return fail(err, ERR_LENGTHY, "database: %s", message);
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_UNKNOWN_ERROR:
    case CR_MALFORMED_PACKET:
    case ER_SERVER_SHUTDOWN:
    case ER_CONNECTION_KILLED:
    case ER_QUERY_INTERRUPTED:
    case ER_NORMAL_SHUTDOWN:
        db->broken = true;
        return fail(err, ERR_UNAVAILABLE, "database: %s", message);
    default:
        return fail(err, ERR_INTERNAL, "database: error %u: %s", number, message);
    }
}

static void disconnect(struct sql *db)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        if (db->statements[i].handle != NULL)
            mysql_stmt_close(db->statements[i].handle);
        free(db->statements[i].text);
        db->statements[i] = (struct statement){0};
    }
    if (db->handle != NULL)
        mysql_close(db->handle);
    db->handle = NULL;
    db->in_transaction = false;
}

static int connect_now(struct sql *db, struct err *err)
{
    const struct conf *conf = db->conf;
    unsigned connect_timeout = CONNECT_TIMEOUT_S;
    unsigned reply_timeout = conf->database_reply_s > 0 ? conf->database_reply_s : REPLY_TIMEOUT_S;
    disconnect(db);
    db->handle = mysql_init(NULL);
    if (db->handle == NULL)
        return fail(err, ERR_UNAVAILABLE, "database: no memory");
    mysql_optionsv(db->handle, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout);
    mysql_optionsv(db->handle, MYSQL_OPT_READ_TIMEOUT, &reply_timeout);
    mysql_optionsv(db->handle, MYSQL_OPT_WRITE_TIMEOUT, &reply_timeout);
    mysql_optionsv(db->handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    bool local = conf->database_socket[0] != '\0';
    if (mysql_real_connect(db->handle, local ? NULL : conf->database_host, conf->database_user, conf->database_password,
                           conf->database_name, (unsigned)conf->database_port, local ? conf->database_socket : NULL,
                           CLIENT_MULTI_STATEMENTS) == NULL ||
        mysql_query(db->handle, SESSION) != 0) {
        fail(err, ERR_UNAVAILABLE, "database: cannot connect: %s", mysql_error(db->handle));
        disconnect(db);
        return -1;
    }
    db->broken = db->elsewhere = false;
    db->reconnected = true;
    return 0;
}

/* A connection to work on. Inside a transaction one that lost it is an error: what came before is gone. */
static int ready(struct sql *db, struct err *err)
{
    if (db->undone && db->in_transaction)
        return fail(err, ERR_TRANSIENT, "database: the transaction was undone, for a deadlock");
    db->undone = false;
    if (db->handle != NULL && !db->broken && (!db->elsewhere || db->in_transaction))
        return 0;
    if (db->in_transaction) {
        db->in_transaction = false;
        return fail(err, ERR_UNAVAILABLE, "database: the connection was lost within a transaction");
    }
    return connect_now(db, err);
}

int sql_open(struct sql **db, const struct conf *conf, struct err *err)
{
    *db = calloc(1, sizeof **db);
    if (*db == NULL)
        return fail(err, ERR_UNAVAILABLE, "database: no memory");
    (*db)->conf = conf;
    if (connect_now(*db, err) == 0)
        return 0;
    sql_close(db);
    return -1;
}

void sql_close(struct sql **db)
{
    if (*db == NULL)
        return;
    disconnect(*db);
    free(*db);
    *db = NULL;
}

void sql_end(void)
{
    mysql_library_end();
}

void sql_thread_end(void)
{
    mysql_thread_end();
}

static void forget(struct statement *slot)
{
    if (slot->handle != NULL)
        mysql_stmt_close(slot->handle);
    free(slot->text);
    *slot = (struct statement){0};
}

/* The prepared statement for a text: the one that is there, or a new one in the place of the longest unused. */
static MYSQL_STMT *prepare(struct sql *db, const char *text, struct err *err)
{
    uint64_t hash = hash_text(text);
    struct statement *slot = &db->statements[0];
    for (size_t i = 0; i < STATEMENTS; i++) {
        struct statement *s = &db->statements[i];
        if (s->handle != NULL && s->hash == hash && strcmp(s->text, text) == 0) {
            s->used = ++db->clock;
            return s->handle;
        }
        if (s->used < slot->used)
            slot = s;
    }
    forget(slot);
    slot->handle = mysql_stmt_init(db->handle);
    slot->text = strdup(text);
    if (slot->handle == NULL || slot->text == NULL) {
        fail(err, ERR_UNAVAILABLE, "database: no memory");
    } else if (mysql_stmt_prepare(slot->handle, text, strlen(text)) != 0) {
        failed(db, mysql_stmt_errno(slot->handle), mysql_stmt_error(slot->handle), err);
    } else {
        slot->hash = hash;
        slot->used = ++db->clock;
        return slot->handle;
    }
    forget(slot);
    return NULL;
}

static void bind(MYSQL_BIND *to, const struct sql_arg *arg)
{
    static const enum enum_field_types types[] = {[SQL_ARG_NULL] = MYSQL_TYPE_NULL,
                                                  [SQL_ARG_INT] = MYSQL_TYPE_LONGLONG,
                                                  [SQL_ARG_TEXT] = MYSQL_TYPE_STRING,
                                                  [SQL_ARG_BYTES] = MYSQL_TYPE_BLOB};
    *to = (MYSQL_BIND){.buffer_type = types[arg->type]};
    if (arg->type == SQL_ARG_INT) {
        to->buffer = (void *)(uintptr_t)&arg->number;
    } else if (arg->type != SQL_ARG_NULL) {
        to->buffer = (void *)(uintptr_t)(arg->bytes.data != NULL ? arg->bytes.data : "");
        to->buffer_length = arg->bytes.len;
    }
}

static int execute(struct sql *db, MYSQL_STMT *statement, const struct sql_arg *args, size_t count, struct err *err)
{
    MYSQL_BIND binds[SQL_PLACES_MOST];
    if (count > SQL_PLACES_MOST || count != mysql_stmt_param_count(statement))
        return fail(err, ERR_INTERNAL, "database: %zu values for %lu places", count, mysql_stmt_param_count(statement));
    for (size_t i = 0; i < count; i++)
        bind(&binds[i], &args[i]);
    if ((count > 0 && mysql_stmt_bind_param(statement, binds) != 0) || mysql_stmt_execute(statement) != 0)
        return failed(db, mysql_stmt_errno(statement), mysql_stmt_error(statement), err);
    return 0;
}

struct column {
    unsigned long len;
    my_bool null;
    char bytes[INLINE_CELL];
};

/* Room for one row more. */
static bool add_row(struct arena *arena, struct sql_rows *rows, size_t *room)
{
    if (rows->count < *room)
        return true;
    size_t more = *room > 0 ? 2 * *room : 4;
    struct str *cells = arena_alloc(arena, more * rows->columns * sizeof *cells);
    if (cells == NULL)
        return false;
    if (rows->count > 0)
        memcpy(cells, rows->cells, rows->count * rows->columns * sizeof *cells);
    rows->cells = cells;
    *room = more;
    return true;
}

static int read_row(struct arena *arena, MYSQL_STMT *statement, struct column *columns, struct sql_rows *rows)
{
    for (size_t i = 0; i < rows->columns; i++) {
        struct str *cell = &SQL_CELL(rows, rows->count, i);
        if (columns[i].null)
            continue;
        char *data = arena_alloc(arena, columns[i].len + 1);
        if (data == NULL)
            return -1;
        if (columns[i].len <= INLINE_CELL) {
            memcpy(data, columns[i].bytes, columns[i].len);
        } else {
            unsigned long len = 0;
            MYSQL_BIND whole = {
                .buffer_type = MYSQL_TYPE_STRING, .buffer = data, .buffer_length = columns[i].len, .length = &len};
            if (mysql_stmt_fetch_column(statement, &whole, (unsigned)i, 0) != 0)
                return -1;
        }
        *cell = (struct str){data, columns[i].len};
    }
    rows->count++;
    return 0;
}

/* Row by row as they come, so that the arena alone bounds how much memory they take. */
static int read_rows(struct sql *db, struct arena *arena, MYSQL_STMT *statement, struct sql_rows *rows, struct err *err)
{
    size_t room = 0;
    *rows = (struct sql_rows){.columns = mysql_stmt_field_count(statement)};
    struct column *columns = arena_alloc(arena, rows->columns * sizeof *columns);
    MYSQL_BIND *binds = arena_alloc(arena, rows->columns * sizeof *binds);
    if (columns == NULL || binds == NULL)
        return fail(err, ERR_INTERNAL, "database: no room for the columns");
    for (size_t i = 0; i < rows->columns; i++)
        binds[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                .buffer = columns[i].bytes,
                                .buffer_length = INLINE_CELL,
                                .length = &columns[i].len,
                                .is_null = &columns[i].null};
    if (mysql_stmt_bind_result(statement, binds) != 0)
        return failed(db, mysql_stmt_errno(statement), mysql_stmt_error(statement), err);
    for (int got; (got = mysql_stmt_fetch(statement)) != MYSQL_NO_DATA;) {
        if (got != 0 && got != MYSQL_DATA_TRUNCATED)
            return failed(db, mysql_stmt_errno(statement), mysql_stmt_error(statement), err);
        if (!add_row(arena, rows, &room) || read_row(arena, statement, columns, rows) != 0)
            return fail(err, ERR_INTERNAL, "database: no room for a row");
    }
    return 0;
}

/* Reads every result of a statement: the rows of the first one that has any into rows, the rest away. */
static int read_results(struct sql *db, struct arena *arena, MYSQL_STMT *statement, struct sql_rows *rows,
                        struct err *err)
{
    int status = 0, more;
    bool taken = rows == NULL;
    do {
        if (mysql_stmt_field_count(statement) > 0) {
            if (status == 0 && !taken) {
                status = read_rows(db, arena, statement, rows, err);
                taken = true;
            }
            mysql_stmt_free_result(statement);
        }
        more = mysql_stmt_next_result(statement);
    } while (more == 0);
    if (more > 0 && status == 0)
        status = failed(db, mysql_stmt_errno(statement), mysql_stmt_error(statement), err);
    return status;
}

int sql_run(struct sql *db, struct arena *arena, const char *text, const struct sql_arg *args, size_t count,
            struct sql_rows *rows, int64_t *affected, struct err *err)
{
    if (ready(db, err) != 0)
        return -1;
    MYSQL_STMT *statement = prepare(db, text, err);
    if (statement == NULL || execute(db, statement, args, count, err) != 0)
        return -1;
    if (affected != NULL)
        *affected = (int64_t)mysql_stmt_affected_rows(statement);
    return read_results(db, arena, statement, rows, err);
}

int sql_exec(struct sql *db, const char *text, const struct sql_arg *args, size_t count, int64_t *affected,
             struct err *err)
{
    return sql_run(db, NULL, text, args, count, NULL, affected, err);
}

int sql_select(struct sql *db, struct arena *arena, const char *text, const struct sql_arg *args, size_t count,
               struct sql_rows *rows, struct err *err)
{
    bool alone = !db->in_transaction;
    *rows = (struct sql_rows){0};
    int status = sql_run(db, arena, text, args, count, rows, NULL, err);
    /* A connection that broke while nobody used it tells so only now; what only reads may be sent again. */
    if (status != 0 && alone && db->broken)
        status = sql_run(db, arena, text, args, count, rows, NULL, err);
    return status;
}

static int begin(struct sql *db, const char *text, struct err *err)
{
    if (ready(db, err) != 0 || sql_script(db, text, strlen(text), err) != 0)
        return -1;
    db->in_transaction = true;
    return 0;
}

int sql_begin(struct sql *db, struct err *err)
{
    return begin(db, "START TRANSACTION", err);
}

int sql_begin_snapshot(struct sql *db, struct err *err)
{
    return begin(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT",
                 err);
}

void sql_rollback(struct sql *db)
{
    struct err err;
    if (!db->in_transaction)
        return;
    db->in_transaction = false;
    if (db->handle != NULL && !db->broken && mysql_query(db->handle, "ROLLBACK") != 0) {
        /* The server rolls back what a closed connection leaves open. */
        failed(db, mysql_errno(db->handle), mysql_error(db->handle), &err);
        log_warning("%s", err.text);
        db->broken = true;
    }
}

int sql_commit(struct sql *db, struct err *err)
{
    if (ready(db, err) != 0)
        return -1;
    db->in_transaction = false;
    return mysql_query(db->handle, "COMMIT") == 0 ? 0
                                                  : failed(db, mysql_errno(db->handle), mysql_error(db->handle), err);
}

void sql_transaction_over(struct sql *db)
{
    db->in_transaction = false;
}

int sql_script(struct sql *db, const char *text, size_t len, struct err *err)
{
    if (ready(db, err) != 0)
        return -1;
    if (mysql_real_query(db->handle, text, len) != 0)
        return failed(db, mysql_errno(db->handle), mysql_error(db->handle), err);
    int more;
    do {
        MYSQL_RES *result = mysql_store_result(db->handle);
        mysql_free_result(result);
        more = mysql_next_result(db->handle);
    } while (more == 0);
    return more > 0 ? failed(db, mysql_errno(db->handle), mysql_error(db->handle), err) : 0;
}
