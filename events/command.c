/* Command dispatch. See command.h. */
#include "events/command.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "events/eventlog.h"
#include "events/idempotency.h"

#include <string.h>
#include <time.h>

enum { TRIES = 8, TRIES_IN_DOUBT = 25, PAUSE_US = 2000 };

bool decision_add(struct decision *decision, const char *type, const char *audience, struct str data)
{
    if (decision->count == COMMAND_EVENTS || data.data == NULL || audience == NULL)
        return false;
    decision->events[decision->count++] = (struct draft){type, audience, data};
    return true;
}

int model_apply(const struct model *model, struct sql_batch *batch, const struct envelope *event, struct arena *arena,
                struct err *err)
{
    for (size_t i = 0; i < model->event_count; i++)
        if (strcmp(model->events[i].name, event->type) == 0)
            return model->events[i].apply(batch, event, arena, err);
    return fail(err, ERR_INTERNAL, "there is no projection for events of type %.64s", event->type);
}

static void add_member(struct buf *buf, const char *name, const char *value)
{
    if (value != NULL) {
        buf_printf(buf, "%s\"%s\":", buf->len > 1 ? "," : "", name);
        buf_json_z(buf, value);
    }
}

static struct str metadata(const struct command *command)
{
    struct buf buf;
    buf_init(&buf, command->arena);
    buf_puts(&buf, "{");
    add_member(&buf, "user_id", command->actor->user_id);
    add_member(&buf, "session_id", command->actor->session_id);
    add_member(&buf, "source", command->source);
    add_member(&buf, "trace_id", command->trace_id);
    buf_puts(&buf, "}");
    return buf_str(&buf);
}

static void make_events(const struct command *command, const struct decision *decision, struct outcome *outcome)
{
    struct str meta = metadata(command);
    outcome->count = decision->count;
    outcome->version = decision->version + (int64_t)decision->count;
    for (size_t i = 0; i < decision->count; i++) {
        struct envelope *event = &outcome->events[i];
        *event = (struct envelope){.stream = decision->stream,
                                   .version = decision->version + 1 + (int64_t)i,
                                   .type = decision->events[i].type,
                                   .audience = decision->events[i].audience,
                                   .data = decision->events[i].data,
                                   .metadata = meta,
                                   .recorded_at = command->now};
        memcpy(event->id, command->event_ids[i], ID_TEXT);
        event_digest(event, event->digest);
    }
}

static void set_positions(struct outcome *outcome, int64_t last)
{
    outcome->position = last;
    for (size_t i = 0; i < outcome->count; i++)
        outcome->events[i].position = last - (int64_t)(outcome->count - 1 - i);
}

/* A unique key that was taken: of the log it is a race for the stream, of a read model a refusal of the command's own.
 */
static int conflict(const struct command *command, const char *key, struct err *err)
{
    if (strcmp(key, "stream_version") == 0)
        return fail(err, ERR_TRANSIENT, "the stream has moved on");
    if (strcmp(key, "idempotency") == 0)
        return fail(err, ERR_TRANSIENT, "the same command was there first");
    const char *why = command->type->taken != NULL ? command->type->taken(key) : NULL;
    return fail(err, ERR_CONFLICT, "%s", why != NULL ? why : "it is there already");
}

static int append(struct sql *db, const struct model *model, const struct command *command, struct outcome *outcome,
                  struct err *err)
{
    struct sql_rows rows;
    struct sql_batch *batch = sql_batch_new(command->arena);
    if (batch == NULL)
        return fail(err, ERR_INTERNAL, "the command is too large");
    for (size_t i = 0; i < outcome->count; i++)
        if (model_apply(model, batch, &outcome->events[i], command->arena, err) != 0)
            return -1;
    if (command->type->beside != NULL && command->type->beside(batch, command, err) != 0)
        return -1;
    if (command->idempotency_key != NULL)
        idempotency_add(batch, command, outcome);
    eventlog_append(batch, outcome->events, outcome->count);
    fault_point("before-commit");
    if (sql_batch_commit(db, batch, &rows, err) != 0)
        return err->kind == ERR_CONFLICT ? conflict(command, sql_duplicate_key(db), err) : -1;
    if (rows.count != 1)
        return fail(err, ERR_INTERNAL, "the append gave no position");
    set_positions(outcome, sql_number(SQL_CELL(&rows, 0, 0)));
    fault_point("after-commit");
    return 0;
}

static int attempt(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                   struct err *err)
{
    const void *state = NULL;
    struct decision decision = {0};
    *outcome = (struct outcome){0};
    int status = 0;
    if (command->type->load != NULL) {
        status = sql_begin(db, err);
        if (status == 0)
            status = command->type->load(db, command, &state, err);
    }
    if (status == 0)
        status = command->type->decide(state, command, &decision, err);
    if (status == 0) {
        make_events(command, &decision, outcome);
        status = command->respond != NULL ? command->respond(command, outcome, err) : 0;
        if (status == 0 && arena_exhausted(command->arena))
            status = fail(err, ERR_INTERNAL, "the command is too large");
        if (status == 0)
            status = append(db, model, command, outcome, err);
    }
    if (status != 0)
        sql_rollback(db);
    return status;
}

/* After a commit whose answer was lost: 1 it is in the log, 0 it is not, -1 the database cannot say. */
static int settled(struct sql *db, const struct command *command, struct outcome *outcome, struct err *err)
{
    int64_t position = 0;
    if (outcome->count == 0)
        return 0;
    if (eventlog_find(db, command->arena, outcome->events[outcome->count - 1].id, &position, err) != 0)
        return -1;
    if (position > 0)
        set_positions(outcome, position);
    return position > 0;
}

static void pause_before(int try)
{
    struct timespec span = { 0, (long)PAUSE_US * 1000 * (1L << (try < 7 ? try : 7)) };
    nanosleep(&span, NULL);
}

/* One try: 1 done, 0 try again, -1 refused. in_doubt: an earlier one may have been committed. */
static int try_once(struct sql *db, const struct model *model, struct command *command, bool *in_doubt,
                    struct outcome *outcome, struct err *err)
{
    int known = *in_doubt ? settled(db, command, outcome, err) : 0;
    if (known == 0 && command->idempotency_key != NULL)
        known = idempotency_find(db, command, outcome, err);
    if (known != 0)
        return known < 0 && err->kind != ERR_INVALID ? 0 : known;
    if (attempt(db, model, command, outcome, err) == 0)
        return 1;
    log_debug("%s: %s", command->type->name, err->text);
    if (sql_lost(db)) {
        *in_doubt = *in_doubt || outcome->count > 0;
        return 0;
    }
    /* What stands in the way of a second try may be the first. */
    return err->kind == ERR_TRANSIENT || (*in_doubt && err->kind == ERR_CONFLICT) ? 0 : -1;
}

/* A few tries for a database that is busy or gone; many where it must say what became of the first, some five seconds.
 */
static int try_until_done(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                          struct err *err)
{
    bool in_doubt = false;
    for (int try = 0; try < (in_doubt ? TRIES_IN_DOUBT : TRIES); try++) {
        if (try > 0)
            pause_before(try - 1);
        int done = try_once(db, model, command, &in_doubt, outcome, err);
        if (done > 0)
            return 0;
        if (done < 0 && !in_doubt)
            return -1;
    }
    if (in_doubt)
        return fail(err, ERR_UNKNOWN, "the database went away in a commit and does not say whether it was done");
    return fail(err, ERR_UNAVAILABLE, "the database is too busy or cannot be reached");
}

int command_dispatch(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                     struct faults *faults, struct err *err)
{
    const struct command_type *type = command->type;
    faults->count = 0;
    if (!schema_check(type->fields, type->field_count, command->conf, command->payload, command->arena, faults))
        return fail(err, ERR_INVALID, "the request has %zu fault%s", faults->count, faults->count == 1 ? "" : "s");
    if (type->authorise != NULL && type->authorise(command, err) != 0)
        return -1;
    command->now = clock_now();
    id_new(command->new_id);
    for (size_t i = 0; i < COMMAND_EVENTS; i++)
        id_new(command->event_ids[i]);
    return try_until_done(db, model, command, outcome, err);
}
