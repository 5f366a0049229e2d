/* Command dispatch. See command.h. */
#include "events/command.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "events/eventlog.h"
#include "events/idempotency.h"

#include <string.h>
#include <time.h>

enum { TRIES = 8, TRIES_IN_DOUBT = 25, PAUSE_US = 2000, CLOCKS_DIFFER_US = 60000000 };

bool decision_add(struct decision *decision, const char *type, const char *audience, struct str data)
{
    if (decision->count == COMMAND_EVENTS || data.data == NULL || audience == NULL)
        return false;
    decision->events[decision->count++] = (struct draft){type, audience, data};
    return true;
}

const struct command_type *command_named(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->command_count; i++)
        if (strcmp(model->commands[i]->name, name) == 0)
            return model->commands[i];
    return NULL;
}

static void add_member(struct buf *buf, const char *name, const char *value)
{
    if (value != NULL) {
        buf_printf(buf, "%s\"%s\":", buf->len > 1 ? "," : "", name);
        buf_json_z(buf, value);
    }
}

struct str command_metadata(const struct command *command, int schema)
{
    struct buf buf;
    buf_init(&buf, command->arena);
    buf_puts(&buf, "{");
    if (schema > 1)
        buf_printf(&buf, "\"schema\":%d", schema);
    add_member(&buf, "user_id", command->actor->user_id);
    add_member(&buf, "session_id", command->actor->session_id);
    add_member(&buf, "source", command->source);
    add_member(&buf, "trace_id", command->trace_id);
    buf_puts(&buf, "}");
    return buf_str(&buf);
}

/* What an attempt works on. */
struct work {
    struct sql *db;
    const struct model *model;
    struct command *command;
    const struct read_model *rows;
    const char *id;  /* of the thing that is changed */
    int64_t version; /* of its stream before */
    void *before;    /* the state that was loaded */
    bool direct;
};

/* The events of a decision, and the state that they make of the one there was. */
static int make_events(const struct work *work, const struct decision *decision, void *state, struct outcome *outcome,
                       struct err *err)
{
    const struct command *command = work->command;
    const char *stream = arena_printf(command->arena, "%s-%s", work->rows->category, work->id);
    outcome->count = decision->count;
    outcome->state = state;
    outcome->version = work->version + (int64_t)decision->count;
    for (size_t i = 0; i < decision->count; i++) {
        struct envelope *event = &outcome->events[i];
        const struct draft *draft = &decision->events[i];
        const struct event_type *type = model_event(work->model, draft->type);
        int schema = type != NULL && type->schema > 0 ? type->schema : 1;
        *event = (struct envelope){.stream = stream,
                                   .version = work->version + 1 + (int64_t)i,
                                   .type = draft->type,
                                   .audience = draft->audience,
                                   .data = draft->data,
                                   .metadata = command_metadata(command, schema),
                                   .schema = schema,
                                   .recorded_at = command->now};
        memcpy(event->id, command->event_ids[i], ID_TEXT);
        if (stream == NULL || model_fold(work->model, state, event, command->arena, err) != 0)
            return stream == NULL ? fail(err, ERR_INTERNAL, "the command is too large") : -1;
        event_digest(event, event->digest);
    }
    if (work->rows->sealed && command->key == NULL)
        return 0;
    return state_derive(work->rows, state, command->key, command->arena, err);
}

static void set_positions(struct outcome *outcome, int64_t last)
{
    outcome->position = last;
    for (size_t i = 0; i < outcome->count; i++)
        outcome->events[i].position = last - (int64_t)(outcome->count - 1 - i);
}

/* The user whom the answer shows was erased meanwhile: it is to be made again, without the name. */
static int erased(const struct work *work, struct err *err)
{
    const struct command *command = work->command;
    const char *user = command->type->creates ? NULL : work->rows->about(work->before, command->actor);
    bool own = user == NULL || (command->actor->user_id != NULL && strcmp(user, command->actor->user_id) == 0);
    return own ? fail(err, ERR_DENIED, "The account was erased.") : fail(err, ERR_TRANSIENT, "the user was erased");
}

/* A unique key that was taken: of the log it is a race for the stream, of a read model a refusal of the command's own.
 */
static int conflict(const struct work *work, const char *key, struct err *err)
{
    const struct command_type *type = work->command->type;
    if (strcmp(key, "stream_version") == 0)
        return fail(err, ERR_TRANSIENT, "the stream has moved on, or its row is behind it: see courantctl verify");
    if (strcmp(key, "idempotency") == 0)
        return fail(err, ERR_TRANSIENT, "the same command was there first");
    if (strcmp(key, ACTOR_CHANGED) == 0)
        return fail(err, ERR_DENIED, "Meanwhile the session has ended, or may no longer do this.");
    if (strcmp(key, "erased") == 0)
        return erased(work, err);
    if (strcmp(key, "PRIMARY") == 0 || strcmp(key, "event_id") == 0)
        return fail(err, ERR_INTERNAL, "the next position, or an id, is taken: see courantctl verify");
    if (strcmp(key, "stream_behind") == 0)
        return fail(err, ERR_UNAVAILABLE,
                    "%s %s was changed in direct mode and its events are not in the log: run courantctl adopt %s",
                    work->rows->category, work->id, work->rows->name);
    if (work->rows->chosen_key != NULL && strcmp(key, work->rows->chosen_key) == 0) {
        work->command->clashes++;
        return fail(err, ERR_TRANSIENT, "the %s that was chosen is taken", key);
    }
    if (type->taken != NULL && type->taken(key, err) != 0)
        return -1;
    return fail(err, ERR_CONFLICT, "it is there already");
}

/* Without an event the answer is as of the position from before: what it shows has in it at least all up to there. */
static int commit(const struct work *work, struct outcome *outcome, struct err *err)
{
    struct sql_rows rows;
    struct log_head head = {.position = -1};
    const struct command *command = work->command;
    struct sql_batch *batch = sql_batch_new(command->arena);
    if (batch == NULL)
        return fail(err, ERR_INTERNAL, "the command is too large");
    /* First: the row that is written may be the actor's own. */
    if (command->type->vouched && work->rows->vouch != NULL)
        work->rows->vouch(batch, command);
    row_write(work->rows, batch, work->before, outcome->state);
    if (command->type->beside != NULL && command->type->beside(batch, command, err) != 0)
        return -1;
    if (work->direct && eventlog_head(work->db, command->arena, &head, err) != 0)
        return -1;
    outcome->position = head.position;
    if (command->idempotency_key != NULL || work->direct)
        idempotency_add(batch, command, outcome, !work->direct);
    if (!work->direct)
        eventlog_append(batch, outcome->events, outcome->count, work->version);
    if (arena_exhausted(command->arena))
        return fail(err, ERR_INTERNAL, "the command is too large");
    fault_point("before-commit");
    if (sql_batch_commit(work->db, batch, &rows, err) != 0)
        return err->kind == ERR_CONFLICT ? conflict(work, sql_duplicate_key(work->db), err) : -1;
    if (work->direct)
        outcome->count = 0;
    else if (rows.count != 1)
        return fail(err, ERR_INTERNAL, "the append gave no position");
    else
        set_positions(outcome, sql_number(SQL_CELL(&rows, 0, 0)));
    fault_point("after-commit");
    return 0;
}

/*
 * There was nothing to change: what there is already is the answer, as of the log's position. The key's record is made
 * all the same, under the row's lock; a crash before its commit leaves nothing, and the next try decides again.
 */
static int leave(const struct work *work, struct outcome *outcome, struct err *err)
{
    struct log_head head;
    const struct command *command = work->command;
    if (command->idempotency_key == NULL)
        sql_rollback(work->db);
    if (eventlog_head(work->db, command->arena, &head, err) != 0)
        return -1;
    outcome->position = head.position;
    if (command->idempotency_key == NULL)
        return 0;
    struct sql_batch *batch = sql_batch_new(command->arena);
    if (batch == NULL)
        return fail(err, ERR_INTERNAL, "the command is too large");
    idempotency_add(batch, command, outcome, false);
    if (arena_exhausted(command->arena))
        return fail(err, ERR_INTERNAL, "the command is too large");
    if (sql_batch_commit(work->db, batch, NULL, err) != 0)
        return err->kind == ERR_CONFLICT ? conflict(work, sql_duplicate_key(work->db), err) : -1;
    return 0;
}

static int read_row(const struct work *work, const char *rest, void *state, struct err *err)
{
    struct sql_rows rows;
    struct arena *arena = work->command->arena;
    /* What is derived of sealed data is kept, unless the command seals anew. */
    const char *text = work->rows->sealed ? row_select(work->rows, arena, work->rows->name, rest)
                                          : row_select_state(work->rows, arena, work->rows->name, rest);
    if (text == NULL)
        return fail(err, ERR_INTERNAL, "no room for a row");
    if (sql_select(work->db, arena, text, SQL_ARGS(SQL_TEXT(work->id)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_ABSENT, "There is no such %s.", work->rows->category);
    const char *found = work->rows->lookup != NULL ? SQL_CELL(&rows, 0, --rows.columns).data : NULL;
    row_state(work->rows, &rows, 0, state);
    if (found != NULL)
        memcpy((char *)state + work->rows->lookup_offset, &found, sizeof found);
    return 0;
}

/* Locks the row and reads it. */
static int load(const struct work *work, void *state, struct err *err)
{
    return sql_begin(work->db, err) == 0 ? read_row(work, "WHERE id = ? FOR UPDATE", state, err) : -1;
}

static int permit(const struct work *work, const void *state, struct outcome *outcome, struct err *err)
{
    const struct command *command = work->command;
    if (command->type->authorise != NULL && command->type->authorise(state, command, err) != 0)
        return -1;
    if (command->expected == NO_VERSION && command->type->needs_version)
        return fail(err, ERR_UNNAMED,
                    "If-Match must name the version that you have seen: the ETag that came with it, such as \"v3\".");
    /* * stands for whatever is there, which is not what is to be made. */
    if (command->expected == NO_VERSION || command->expected == work->version ||
        (command->expected == ANY_VERSION && !command->type->creates))
        return 0;
    outcome->version = work->version;
    if (command->type->creates)
        return fail(err, ERR_STALE, "If-Match names a version of something that is yet to be made.");
    return fail(err, ERR_STALE, "The %s is at version %lld by now.", work->rows->category, (long long)work->version);
}

/*
 * With the row locked: no event of a stream is earlier than the one before it, though the clocks of two machines may
 * differ a little. What was imported may claim any time.
 */
static void set_time(const struct work *work, const void *state)
{
    int64_t last = state_changed(work->rows, state), now = clock_now();
    work->command->now = now < last && last < now + CLOCKS_DIFFER_US ? last : now;
}

static int decide(struct work *work, struct outcome *outcome, struct err *err)
{
    struct decision decision = {0};
    const struct command *command = work->command;
    void *state = arena_alloc(command->arena, work->rows->state_size);
    work->before = arena_alloc(command->arena, work->rows->state_size);
    if (state == NULL || work->before == NULL)
        return fail(err, ERR_INTERNAL, "no room for a row");
    if (!command->type->creates && load(work, state, err) != 0)
        return -1;
    set_time(work, state);
    memcpy(work->before, state, work->rows->state_size);
    work->version = state_version(work->rows, state);
    if (permit(work, state, outcome, err) != 0 || command->type->decide(state, command, &decision, err) != 0)
        return -1;
    return make_events(work, &decision, state, outcome, err);
}

static struct work work_on(struct sql *db, const struct model *model, struct command *command)
{
    return (struct work){.db = db,
                         .model = model,
                         .command = command,
                         .rows = command->type->model,
                         .id = command->type->creates ? command->new_id : command->target,
                         .direct = read_model_direct(command->type->model, command->conf)};
}

static int attempt(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                   struct err *err)
{
    struct work work = work_on(db, model, command);
    *outcome = (struct outcome){0};
    int status = command->type->prepares_anew && command->tries++ > 0 ? command->type->prepare(db, command, err) : 0;
    if (status == 0)
        status = decide(&work, outcome, err);
    if (status == 0 && command->respond != NULL)
        status = command->respond(command, outcome, err);
    if (status == 0)
        status = outcome->count > 0 ? commit(&work, outcome, err) : leave(&work, outcome, err);
    if (status != 0)
        sql_rollback(db);
    return status;
}

/* An answer that shows something is given again to whom it would be shown today, or was until the thing was gone. */
static int may_hear(const struct work *work, struct err *err)
{
    const struct command_type *type = work->command->type;
    void *state = arena_alloc(work->command->arena, work->rows->state_size);
    if (type->authorise == NULL || type->removes)
        return 0;
    if (state == NULL)
        return fail(err, ERR_INTERNAL, "no room for a row");
    if (!type->creates && read_row(work, "WHERE id = ?", state, err) != 0)
        return -1;
    return type->authorise(state, work->command, err) == 0 || err->kind == ERR_GONE ? 0 : -1;
}

/* What is remembered for the command's key: 1 the answer, 0 nothing, -1 that it is refused. */
static int recall(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                  struct err *err)
{
    struct work work = work_on(db, model, command);
    int known = command->idempotency_key != NULL ? idempotency_find(db, command, outcome, err) : 0;
    if (known > 0 && may_hear(&work, err) != 0) {
        *outcome = (struct outcome){0};
        return -1;
    }
    return known;
}

/* A try whose commit may have been done. Of several at most one was: their events have the same ids. */
struct doubt {
    bool any;
    struct outcome lost; /* of the last of them */
};

/* After a commit whose answer was lost: 1 it was done, 0 it was not, -1 the database cannot say. */
static int settle(struct sql *db, struct command *command, const struct doubt *doubt, struct outcome *outcome,
                  struct err *err)
{
    int64_t position = 0;
    *outcome = doubt->lost;
    if (read_model_direct(command->type->model, command->conf))
        return idempotency_find(db, command, outcome, err);
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

/*
 * A refusal may come of the very same command: another worker died while the server was committing it, and we waited
 * for its lock. Having had the lock we know that it is settled, so its record is there by now if it was done.
 */
static int done_meanwhile(struct sql *db, struct command *command, struct outcome *outcome, struct err *err)
{
    struct outcome found;
    struct err failure;
    int known = idempotency_find(db, command, &found, &failure);
    if (known > 0) {
        *outcome = found;
        return 1;
    }
    if (known < 0)
        *err = failure;
    return known < 0 && failure.kind != ERR_INVALID ? 0 : -1;
}

/* Whether a command is refused only with the lock that another try of it would hold: of its row, or of a unique key. */
static bool refused_under_lock(const struct command *command, const struct err *err)
{
    switch (err->kind) {
    case ERR_CONFLICT:
        return true;
    case ERR_INVALID:
    case ERR_DENIED:
    case ERR_ABSENT:
    case ERR_GONE:
    case ERR_STALE:
    case ERR_UNNAMED:
        return !command->type->creates;
    default:
        return false;
    }
}

/*
 * What stands in the way of a second try may be the first. Once there is the lock, the first is over: 1 it was done, -1
 * it was not and the refusal stands, 0 that is not known yet.
 */
static int settle_refusal(struct sql *db, struct command *command, struct doubt *doubt, struct outcome *outcome,
                          struct err *err)
{
    const struct outcome refused = *outcome;
    const struct err refusal = *err;
    if (!refused_under_lock(command, err))
        return 0;
    int done = settle(db, command, doubt, outcome, err);
    if (done != 0)
        return done > 0;
    *outcome = refused;
    *err = refusal;
    doubt->any = false;
    return -1;
}

/* One try: 1 done, 0 try again, -1 refused. */
static int try_once(struct sql *db, const struct model *model, struct command *command, struct doubt *doubt,
                    struct outcome *outcome, struct err *err)
{
    int known = doubt->any ? settle(db, command, doubt, outcome, err) : 0;
    if (known == 0)
        known = recall(db, model, command, outcome, err);
    if (known != 0)
        return known < 0 && err->kind != ERR_INVALID && err->kind != ERR_DENIED && err->kind != ERR_ABSENT ? 0 : known;
    if (attempt(db, model, command, outcome, err) == 0)
        return 1;
    log_debug("%s: %s", command->type->name, err->text);
    if (sql_lost(db)) {
        if (outcome->count > 0)
            *doubt = (struct doubt){true, *outcome};
        return 0;
    }
    if (err->kind == ERR_TRANSIENT)
        return 0;
    if (doubt->any && (known = settle_refusal(db, command, doubt, outcome, err)) >= 0)
        return known;
    return command->idempotency_key != NULL ? done_meanwhile(db, command, outcome, err) : -1;
}

/* A few tries for a database that is busy or gone; many where it must say what became of the first, some five seconds.
 */
static int try_until_done(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                          struct err *err)
{
    struct doubt doubt = {0};
    for (int try = 0; try < (doubt.any ? TRIES_IN_DOUBT : TRIES); try++) {
        if (try > 0)
            pause_before(try - 1);
        int done = try_once(db, model, command, &doubt, outcome, err);
        if (done > 0)
            return 0;
        if (done < 0 && !doubt.any)
            return -1;
    }
    if (doubt.any)
        return fail(err, ERR_UNKNOWN, "the database went away in a commit and does not say whether it was done");
    const struct err last = *err;
    return fail(err, ERR_UNAVAILABLE, "the database is too busy or cannot be reached: %.300s", last.text);
}

/* Where the payload names the thing that it is about. */
static int find_target(struct command *command, struct err *err)
{
    if (command->type->creates || command->target != NULL)
        return 0;
    struct str id = json_string(command->payload, "id");
    command->target = id.data;
    return id.data != NULL ? 0 : fail(err, ERR_INTERNAL, "a %s without a target", command->type->name);
}

int command_dispatch(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                     struct faults *faults, struct err *err)
{
    const struct command_type *type = command->type;
    faults->count = 0;
    outcome->version = 0;
    /* Where the path names the thing, the payload does not: its first field is the id. */
    size_t named = !type->creates && command->target != NULL && type->field_count > 0 ? 1 : 0;
    schema_check(type->fields + named, type->field_count - named, command->conf, command->payload, command->arena,
                 faults);
    if (type->check != NULL && json_object_is_type(command->payload, json_type_object))
        type->check(command, faults);
    if (faults->count > 0)
        return fail(err, ERR_INVALID, "The request has faults; errors names each of them.");
    if (find_target(command, err) != 0)
        return -1;
    /* Before prepare, which may look at what the first time has changed, such as a password. */
    int known = type->prepare != NULL ? recall(db, model, command, outcome, err) : 0;
    if (known != 0)
        return known > 0 ? 0 : -1;
    if (type->prepare != NULL && type->prepare(db, command, err) != 0) {
        /* The same request, a moment ago, may have changed what it looks at. */
        const struct err refusal = *err;
        known = recall(db, model, command, outcome, err);
        if (known == 0)
            *err = refusal;
        return known > 0 ? 0 : -1;
    }
    command->now = clock_now();
    id_new(command->new_id);
    for (size_t i = 0; i < COMMAND_EVENTS; i++)
        id_new(command->event_ids[i]);
    if (idempotency_prepare(command, err) != 0)
        return -1;
    return try_until_done(db, model, command, outcome, err);
}
