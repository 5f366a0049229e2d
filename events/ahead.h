/*
 * Reading the log ahead: a thread with a connection of its own reads the next chunk while this one is worked on. For
 * those who go through a log that is there already; what was in the log up to a position never changes.
 */
#ifndef COURANT_EVENTS_AHEAD_H
#define COURANT_EVENTS_AHEAD_H

#include "events/eventlog.h"

struct ahead;

/* What is asked of each chunk, in that thread. A failure cuts the list off before the event that is its cause. */
typedef int (*ahead_inspector)(void *context, struct event_list *list, struct err *err);

/* Chunks of the events after `after`, up to `upto`. inspect may be NULL; its context is the thread's until the end. */
int ahead_open(struct ahead **ahead, const struct conf *conf, int64_t after, int64_t upto, size_t chunk,
               ahead_inspector inspect, void *context, struct err *err);
void ahead_close(struct ahead **ahead);

/* The next chunk, up to the first gap, valid until the next call; empty at the end, and behind a gap. Fails
 * where reading or inspecting has failed, once what came before is handed out. */
int ahead_next(struct ahead *ahead, struct event_list *list, struct err *err);

#endif
