/*
 * Whether the bus is a prefix of the log (invariant 4), asked where somebody is about to rely on it.
 *
 * A bus that is ahead of the log, or that holds another event than the log at its last sequence, belongs to another
 * history: the database was restored from an old copy. Nobody publishes to it or follows it until an operator says so
 * (courantctl bus rebuild --force).
 */
#ifndef COURANT_EVENTS_ALIGN_H
#define COURANT_EVENTS_ALIGN_H

#include "events/bus.h"
#include "events/eventlog.h"

/* Where the bus ends: its last sequence, 0 when it is empty, and the digest of the event there. */
struct bus_end {
    int64_t position;
    unsigned char digest[SHA256_SIZE];
};

/* 0 and where the bus ends; -1 with ERR_CONFLICT when it is of another history, end->position set all the same. */
int bus_align(struct bus *bus, struct sql *db, struct arena *arena, struct bus_end *end, struct err *err);

/*
 * The events of the log behind the bus's end, at most limit of them; the caller fences where that is needed. The event
 * at the end is read with them: -1 with ERR_CONFLICT when the log has another one there, or none, for then it is not
 * the log that the bus was filled from.
 */
int bus_missing(struct sql *db, struct arena *arena, const struct bus_end *end, size_t limit, struct event_list *list,
                struct err *err);

#endif
