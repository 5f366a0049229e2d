/*
 * Commands: from a payload and who sent it to events in the log, or to a refusal that leaves no trace.
 *
 * A command type is one entry (domain/model.c lists those that clients may send): its schema, the read model whose
 * streams it changes, who may, and decide. decide is pure: no SQL, no clock, no randomness; what it needs of those is
 * in struct command. The state that it sees is the stream's row, locked, which is the fold of the stream.
 *
 * Dispatch: check → the record of the key, if it has one → prepare → load (locks the row) → authorise → expected
 * version → decide → apply, write the row and append in one batch, which commits. A crash before the commit leaves
 * nothing; after it everything, for it is one transaction. Deadlocks repeat it from load on. A connection lost while
 * the commit was under way leaves the outcome unknown: the events' ids are made before the first try and are unique in
 * the log, so dispatch asks for them, and a second try cannot append them twice.
 *
 * In direct mode (features in courant.conf) all is the same but the append: the row is written, no event is.
 */
#ifndef COURANT_EVENTS_COMMAND_H
#define COURANT_EVENTS_COMMAND_H

#include "base/crypt.h"
#include "events/actor.h"
#include "events/model.h"
#include "events/schema.h"

enum { COMMAND_EVENTS = 8, NO_VERSION = -1, ANY_VERSION = -2 };

struct outcome;

struct command {
    const struct command_type *type;
    struct json_object *payload;
    const struct actor *actor;
    const struct conf *conf;
    struct arena *arena;
    const char *source;   /* where it came from: «http», «api_token», «courantctl» */
    const char *trace_id; /* 32 hexadecimal digits, or NULL */
    const char *target;   /* the id of the thing it is about; NULL: a new one, or the payload's id */
    const char
        *subject;      /* what the key stands for, where that is not the target, such as a session of a user; or NULL */
    int64_t expected;  /* the version that the client knows; NO_VERSION where it names none, ANY_VERSION: whichever */
    const void *aside; /* what `beside` needs and no event may hold */
    const char *idempotency_key; /* NULL: none; valid */
    struct str client;           /* whose the key is where the actor is nobody: the address; it may be {NULL, 0} */
    struct str request;          /* the bytes that the key stands for */
    /* Makes the reply from the events, before they have positions. NULL: nobody waits for one. */
    int (*respond)(const struct command *command, struct outcome *outcome, struct err *err);

    /* Set by command_dispatch, prepared by the type's prepare. */
    const void *prepared;
    unsigned char secrets[SHA256_SIZE]; /* what the key knows the payload's passwords by */
    bool secrets_known;                 /* they are made: see idempotency_prepare */
    const unsigned char *key; /* of a sealed read model, for what is sealed now; NULL: what was derived stays */
    int64_t now;
    int tries;
    int clashes; /* how often what decide chose was taken (read_model.chosen_key) */
    char new_id[ID_TEXT];
    char event_ids[COMMAND_EVENTS][ID_TEXT];
};

struct draft {
    const char *type, *audience;
    struct str data; /* a JSON object */
};

/* What decide makes: events for one stream. */
struct decision {
    size_t count;
    struct draft events[COMMAND_EVENTS];
};

struct command_type {
    const char *name, *summary;
    const struct read_model *model;
    const struct field *fields;
    size_t field_count;
    bool creates; /* a new stream; otherwise one that is there, of the command's target or the payload's id */
    bool removes; /* what there was is gone: there is nothing to answer with */
    /* More faults of a payload than its fields can say; any member may be missing or of another type. NULL: there are
     * none.
     */
    void (*check)(const struct command *command, struct faults *faults);
    bool secrets;       /* its payload holds passwords, of which no digest is kept that is quick to make */
    bool renames;       /* a user: names that are remembered are to be forgotten (events/known.h) */
    bool prepares_anew; /* each try does: prepare reads what another command may change before the lock is had */
    bool vouched;       /* the actor must still be who it was judged as when it is done: see vouch of events/model.h */
    bool needs_version; /* the client must name the version that it has seen */
    /*
     * What decide must not do and no transaction should wait for: hashing a password, or reading what is for ever as it
     * is; it lays the result in command->prepared. NULL: nothing.
     */
    int (*prepare)(struct sql *db, struct command *command, struct err *err);
    /* 0, or -1 with ERR_DENIED, or ERR_ABSENT for what the actor may not even see. NULL: anybody may. */
    int (*authorise)(const void *state, const struct command *command, struct err *err);
    int (*decide)(const void *state, const struct command *command, struct decision *decision, struct err *err);
    /* Fails with the refusal for a unique key that was taken, or for a SIGNAL of beside; 0: it knows none. May be NULL.
     */
    int (*taken)(const char *key, struct err *err);
    /* More statements of the same transaction that are no event (credentials). May be NULL. */
    int (*beside)(struct sql_batch *batch, const struct command *command, struct err *err);
};

/* An answer as it is sent, and kept for an Idempotency-Key: headers are «Name: value\r\n» lines. */
struct reply {
    int status;
    struct str headers, body;
};

/* What a command did. */
struct outcome {
    int64_t position;  /* of the last event; of the log where there is none */
    int64_t version;   /* of the stream; where the expected one was stale, the current one */
    const void *state; /* the row as it is now */
    struct reply reply;
    bool replayed; /* by an earlier request with the same Idempotency-Key; then there are no events here */
    size_t count;
    struct envelope events[COMMAND_EVENTS]; /* none in direct mode */
};

/* On a refusal err says why; where the payload is at fault (ERR_INVALID), faults lists everything that is. */
int command_dispatch(struct sql *db, const struct model *model, struct command *command, struct outcome *outcome,
                     struct faults *faults, struct err *err);

/* NULL where clients may send no such command. */
const struct command_type *command_named(const struct model *model, const char *name);

/* Adds an event to a decision; false when there are too many or the arena is exhausted. */
bool decision_add(struct decision *decision, const char *type, const char *audience, struct str data);

/* The metadata of an event that this command causes; {"", 0} when the arena is exhausted. */
struct str command_metadata(const struct command *command, int schema);

#endif
