/*
 * What the loops ask of servers, and never wait for: old events, in chunks that all clients share; who a token stands
 * for; how far the log goes. Helper threads with connections of their own find it; the answer goes back to the loop
 * that asked. One of them is not for events, so that whoever comes is not behind those who catch up, nor the other way
 * round where a database hangs.
 *
 * Old events are read from the bus, or from the log where the bus does not have them. Of the wishes for events the one
 * next above the chunk that was read last is granted first, from the lowest again when there is none, and with it all
 * that ask for what is in the same chunk: so of clients that come back together, the ones far behind catch up with the
 * others, and all of them go on through the same chunks. What was read last is kept in memory.
 */
#ifndef COURANT_NOTIFIER_HISTORY_H
#define COURANT_NOTIFIER_HISTORY_H

#include "base/conf.h"
#include "notifier/record.h"

/* Records of successive positions, first to last; counted, and never changed. */
struct chunk {
    atomic_uint references;
    int64_t first, last;
    struct records records;
    size_t bytes;
    uint64_t used;      /* of the cache */
    struct chunk *next; /* likewise */
};

void chunk_drop(struct chunk **chunk);
/* The record of a position, or NULL where the chunk does not have it; it may be NULL. */
struct record *chunk_at(const struct chunk *chunk, int64_t position);

/* Who a token stood for, when it was asked. */
struct identity {
    enum { IDENTITY_FOUND, IDENTITY_REFUSED, IDENTITY_UNKNOWN } outcome; /* unknown: nobody could say */
    struct actor actor;
    char *texts;     /* of the actor, in one block */
    char detail[96]; /* of a refusal */
};

/* Of this actor, whose texts are copied; NULL when there is no memory. */
struct identity *identity_new(const struct actor *actor);
void identity_free(struct identity **identity);

struct loop;
struct stream;

enum wish_kind { WISH_EVENTS, WISH_IDENTITY, WISH_SESSION, WISH_HEAD, WISH_READY }; /* the last: see watch.h */

/* One client's, who may have gone by then. */
struct wish {
    enum wish_kind kind;
    struct loop *loop;               /* that it goes back to */
    _Atomic(struct stream *) client; /* NULL when it has gone: then nobody needs the answer */
    bool failed;
    int64_t after, upto;       /* events: the first that is wanted is after + 1; upto: the last that may be given */
    struct chunk *chunk;       /* events: it has after + 1 */
    char *token;               /* identity; wiped when the wish is freed */
    struct identity *identity; /* found; goes to whoever takes it. session: whose it is, and how that is now */
    int64_t head;              /* found */
    char detail[240];          /* ready: a JSON text; failed: why */
    struct wish *next;
};

/* token: of an identity. NULL when there is no memory. */
struct wish *wish_new(enum wish_kind kind, struct loop *loop, struct stream *client, const char *token);
void wish_free(struct wish *wish);

struct history;

/*
 * answer is called in a helper's thread and takes the wish over. bytes: of the chunks that are kept. On an error there
 * is nothing to stop.
 */
int history_start(struct history **history, const struct conf *conf, size_t bytes, void (*answer)(struct wish *),
                  struct err *err);
void history_stop(struct history **history);

/* Hands a wish over; it comes back by answer. Never waits. */
void history_ask(struct history *history, struct wish *wish);

/* The chunk with after + 1 that is in memory, with a reference for the caller; NULL where there is none. */
struct chunk *history_find(struct history *history, int64_t after);

/* Whether the bus holds what the log holds: it may be of another history, after a database was restored. */
void history_trust_bus(struct history *history, bool trust);

/* Forgets the chunks: the log is another one. */
void history_forget(struct history *history);

struct history_counts {
    uint64_t from_bus, from_log; /* chunks read */
    size_t bytes, waiting;
};

void history_count(struct history *history, struct history_counts *counts);

#endif
