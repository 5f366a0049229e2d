/*
 * States from the log: one stream as it was at a version or a moment, or many, kept between events.
 */
#ifndef COURANT_EVENTS_FOLD_H
#define COURANT_EVENTS_FOLD_H

#include "events/eventlog.h"
#include "events/model.h"

/*
 * The state of one stream after its last event of at most this version and recorded at or before this moment
 * (INT64_MAX: no bound), in the arena; version 0 where there is none. Memory is bounded by a page of events and the
 * state.
 */
int fold_stream(struct sql *db, const struct model *model, struct arena *arena, const char *stream, int64_t version,
                int64_t moment, void *state, struct err *err);

#endif
