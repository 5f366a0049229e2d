/*
 * Whether events arrive. One thread with a connection of its own looks once a second how far the log is and how far
 * the loops are; asked for readiness, it waits until they are where the log is, and from time to time lets a canary
 * fly: an event of its own, appended to the log as any other, that must come back to it over the bus and a stream.
 */
#ifndef COURANT_NOTIFIER_WATCH_H
#define COURANT_NOTIFIER_WATCH_H

#include "notifier/history.h"

struct server;
struct watch;

struct watch_state {
    int64_t head;   /* of the log, a second ago at most while the database can be asked; -1: it never could */
    int64_t behind; /* positions that the loops have yet to be handed */
    int64_t lag_us; /* how long they have been behind */
    int64_t canaries;
    int64_t canary_us; /* the last one's flight; -1: there was none */
};

int watch_start(struct watch **watch, struct server *server, struct err *err);
void watch_stop(struct watch **watch);

/* Takes over a wish of WISH_READY, which comes back by loop_answer within a few seconds. */
void watch_ask(struct watch *watch, struct wish *wish);

void watch_read(struct watch *watch, struct watch_state *state);

#endif
