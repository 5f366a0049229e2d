/*
 * Putting events on the bus, in log order, without a relay, a leader or a checkpoint (invariant 4).
 *
 * Whoever publishes position p asks the bus to take it only behind p - 1. A refusal names the bus's last sequence: at
 * or past p, the event is there already; before, the missing events are read from the log and published first. A
 * process that dies between its commit and its publish leaves a hole that the next publisher fills.
 *
 * The lane is a hint that the processes of one pool share: how far the bus is, as the last of them saw it, behind a
 * lock that makes them publish one after the other. It saves refusals; the order never depends on it. Who holds the
 * lock too long (stopped, or dead) is passed by. After a failure the lane rests, so that a dead bus costs a pool one
 * wait a second.
 *
 * A pool has a process that does nothing else (lane_serve): it holds the lane, sleeps, and is woken by who commits. A
 * worker that publishes is one that does not answer. Without such a process, or when it has died or is stopped, whoever
 * commits publishes.
 */
#ifndef COURANT_EVENTS_PUBLISHER_H
#define COURANT_EVENTS_PUBLISHER_H

#include "events/bus.h"
#include "events/eventlog.h"

struct lane;

/* shared: in memory that the children of this process will share. NULL when there is no memory. */
struct lane *lane_new(bool shared);
void lane_free(struct lane **lane);
/* The bus's last sequence as this lane has seen it; -1 where it has not. */
int64_t lane_published(const struct lane *lane);

/*
 * Brings the bus up to the last of these events, which the caller has just committed (so they, and all before them, are
 * durable), or leaves that to who holds the lane. Where very much is missing it does a turn of
 * some milliseconds; more is left to the next call, or to the tail.
 */
int publish_committed(struct bus *bus, struct sql *db, struct lane *lane, const struct envelope *events, size_t count,
                      struct err *err);

/*
 * Publishes for the pool while going(); complain is told each failure, ERR_CONFLICT for a bus of another history. When
 * it begins, and when the database comes back, it brings the bus up to the end of the log, whoever left it behind.
 */
void lane_serve(struct lane *lane, struct bus *bus, struct sql *db, struct arena *arena, bool (*going)(void),
                void (*complain)(const struct err *err));

/* One step of bringing the bus up to a position that is durable: 1 it is there, 0 call again, -1 it cannot be done now.
 */
int publish_missing(struct bus *bus, struct sql *db, struct lane *lane, struct arena *arena, int64_t upto,
                    struct err *err);

#endif
