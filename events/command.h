/*
 * Commands: from a payload and who sent it to events in the log, or to a refusal that leaves no trace.
 *
 * A command type is one entry (domain/model.c lists them): its schema, who may, what it must know, and decide. decide
 * is pure: no SQL, no clock, no randomness; what it needs of those is in struct command. An event type names the
 * projection, the only code that writes a read model.
 *
 * Dispatch: check → authorise → load (locks the state) → decide → apply and append in one batch, which commits. A crash
 * before the commit leaves nothing; after it everything, for it is one transaction. Deadlocks repeat it from load on.
 * A connection lost while the commit was under way leaves the outcome unknown: the events' ids are made before the
 * first try and are unique in the log, so dispatch asks for them, and a second try cannot append them twice.
 */
#ifndef COURANT_EVENTS_COMMAND_H
#define COURANT_EVENTS_COMMAND_H

#include "events/actor.h"
#include "events/event.h"
#include "events/schema.h"
#include "sql/db.h"

enum { COMMAND_EVENTS = 8 };

struct outcome;

struct command {
    const struct command_type *type;
    struct json_object *payload;
    const struct actor *actor;
    const struct conf *conf;
    struct arena *arena;
    const char *source;          /* where it came from: «http», «courantctl» */
    const char *trace_id;        /* 32 hexadecimal digits, or NULL */
    const char *target;          /* the id of the thing it is about; NULL makes a new one */
    const void *aside;           /* what `beside` needs and no event may hold */
    const char *idempotency_key; /* NULL: none; valid, and the actor is a user */
    struct str request;          /* the bytes that the key stands for */
    /* Makes the reply from the events, before they have positions. NULL: nobody waits for one. */
    int (*respond)(const struct command *command, struct outcome *outcome, struct err *err);

    /* Set by command_dispatch. */
    int64_t now;
    char new_id[ID_TEXT];
    char event_ids[COMMAND_EVENTS][ID_TEXT];
};

struct draft {
    const char *type, *audience;
    struct str data; /* a JSON object */
};

/* What decide makes: events for one stream, whose version was `version` when the state was loaded. */
struct decision {
    const char *stream;
    int64_t version;
    size_t count;
    struct draft events[COMMAND_EVENTS];
};

struct command_type {
    const char *name;
    const struct field *fields;
    size_t field_count;
    /* 0, or -1 with ERR_DENIED. NULL: anybody may. */
    int (*authorise)(const struct command *command, struct err *err);
    /* Reads and locks the state, in the arena. NULL: there is none yet. */
    int (*load)(struct sql *db, const struct command *command, const void **state, struct err *err);
    int (*decide)(const void *state, const struct command *command, struct decision *decision, struct err *err);
    /* The refusal for a unique key of the read models that was taken. NULL: it has none. */
    const char *(*taken)(const char *key);
    /* More statements of the same transaction that are no event (credentials). May be NULL. */
    int (*beside)(struct sql_batch *batch, const struct command *command, struct err *err);
};

struct event_type {
    const char *name;
    /* Adds to the batch what this event changes in its read model. */
    int (*apply)(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err);
};

struct model {
    const struct event_type *events;
    size_t event_count;
};

/* An answer as it is sent, and kept for an Idempotency-Key: headers are «Name: value\r\n» lines. */
struct reply {
    int status;
    struct str headers, body;
};

/* What a command did. */
struct outcome {
    int64_t position; /* of the last event */
    int64_t version;  /* of the stream */
    struct reply reply;
    bool replayed; /* by an earlier request with the same Idempotency-Key; then there are no events here */
    size_t count;
    struct envelope events[COMMAND_EVENTS];
};

/* On a refusal err says why; where the payload is at fault (ERR_INVALID), faults lists everything that is. */
int command_dispatch(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                     struct faults *faults, struct err *err);

/* Adds an event to a decision; false when there are too many or the arena is exhausted. */
bool decision_add(struct decision *decision, const char *type, const char *audience, struct str data);

/* The projection of one event; an unknown type is an error, for its effect would be missing. */
int model_apply(const struct model *model, struct sql_batch *batch, const struct envelope *event, struct arena *arena,
                struct err *err);

#endif
