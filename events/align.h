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

/* 0 and the bus's last sequence; -1 with ERR_CONFLICT when it is of another history, *last set all the same. */
int bus_align(struct bus *bus, struct sql *db, struct arena *arena, int64_t *last, struct err *err);

#endif
