/*
 * The tail: every event after a position, in order, exactly once, for ever.
 *
 * From the bus while that is up, from the log while it is not or where the bus has a gap; what it finds in the log but
 * not on the bus it publishes. The caller sees none of this.
 *
 *      log ──read, fence──►┐                      cursor: the last position handed out
 *                          ├─► cursor + 1, … ──►  Invariant: what is handed out is cursor + 1 and durable
 *      bus ──feed─────────►┘
 *
 * A tail owns a database connection and a bus connection; use it from one thread.
 */
#ifndef COURANT_EVENTS_TAIL_H
#define COURANT_EVENTS_TAIL_H

#include "events/eventlog.h"
#include "events/model.h"

struct tail;

enum { TAIL_FROM_NOW = -1 };

/*
 * after: hand out what comes after this position, or TAIL_FROM_NOW. model: brings events to today's form; NULL: they
 * come as they were written.
 */
int tail_open(struct tail **tail, const struct conf *conf, const struct model *model, int64_t after, struct err *err);
void tail_close(struct tail **tail);

int64_t tail_position(const struct tail *tail);

/* Whether events come over the bus now; otherwise the log is polled. */
bool tail_live(const struct tail *tail);

/*
 * Whether the log was found to end before what was handed out: another one has taken its place (a database that was
 * restored). Nothing more comes of use; close it and open another.
 */
bool tail_lost(const struct tail *tail);

/*
 * The next events, in the arena: none when there were none for timeout_us. What fails on the way (a server that is
 * gone) is logged, and tried again: a tail has no errors.
 */
void tail_next(struct tail *tail, struct arena *arena, int64_t timeout_us, struct event_list *list);

#endif
