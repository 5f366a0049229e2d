/*
 * Batches. See db.h.
 *
 * One compound statement is one round trip, and its handler makes the failure of any part the failure of all, which
 * statements sent one behind the other cannot promise: after a deadlock the server has rolled back the first ones and
 * would run the rest outside the transaction.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "sql/internal.h"

#include <string.h>

struct sql_batch {
    struct arena *arena;
    struct buf text;
    const char *result;
    size_t count;
    struct sql_arg args[SQL_ARGS_MOST];
    bool failed;
};

struct sql_batch *sql_batch_new(struct arena *arena)
{
    struct sql_batch *batch = arena_alloc(arena, sizeof *batch);
    if (batch != NULL) {
        batch->arena = arena;
        buf_init(&batch->text, arena);
    }
    return batch;
}

struct arena *sql_batch_arena(const struct sql_batch *batch)
{
    return batch->arena;
}

void sql_batch_add(struct sql_batch *batch, const char *fragment, const struct sql_arg *args, size_t count)
{
    if (batch->count + count > SQL_ARGS_MOST) {
        batch->failed = true;
        return;
    }
    if (count > 0)
        memcpy(batch->args + batch->count, args, count * sizeof *args);
    batch->count += count;
    buf_puts(&batch->text, fragment);
    buf_puts(&batch->text, "; ");
}

struct sql_arg sql_moment(struct sql_batch *batch, int64_t moment)
{
    char *text = moment != INT64_MIN ? arena_alloc(batch->arena, CLOCK_TEXT) : NULL;
    if (text != NULL)
        clock_sql(moment, text);
    else if (moment != INT64_MIN)
        batch->failed = true;
    return sql_text(text);
}

void sql_batch_result(struct sql_batch *batch, const char *select)
{
    batch->result = select;
}

static const char *compose(struct sql_batch *batch, bool begun)
{
    struct buf text;
    buf_init(&text, batch->arena);
    buf_puts(&text, "BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; ");
    if (!begun)
        buf_puts(&text, "START TRANSACTION; ");
    buf_add(&text, batch->text.data, batch->text.len);
    buf_puts(&text, "COMMIT; ");
    if (batch->result != NULL)
        buf_printf(&text, "%s; ", batch->result);
    buf_add(&text, "END", 4);
    return text.failed || batch->text.failed || batch->failed ? NULL : text.data;
}

int sql_batch_commit(struct sql *db, struct sql_batch *batch, struct sql_rows *rows, struct err *err)
{
    const char *text = compose(batch, sql_in_transaction(db));
    if (rows != NULL)
        *rows = (struct sql_rows){0};
    if (text == NULL) {
        sql_rollback(db);
        return fail(err, ERR_INTERNAL, "database: a batch is too large");
    }
    int status = sql_run(db, batch->arena, text, batch->args, batch->count, rows, NULL, err);
    /* A statement that failed to be prepared has not reached the handler. */
    if (status != 0)
        sql_rollback(db);
    sql_transaction_over(db);
    return status;
}
