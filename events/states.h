/*
 * States of many streams, kept between their events while a log is folded. Memory is bounded: past its limit everything
 * is let go, and whoever needs a state again folds its stream (fold_stream).
 */
#ifndef COURANT_EVENTS_STATES_H
#define COURANT_EVENTS_STATES_H

#include "events/model.h"

struct states;

/* limit: bytes. NULL when there is no memory. */
struct states *states_new(size_t limit);
void states_free(struct states **states);

/* The state of a stream, valid until the next call that changes what is kept; NULL where none is. */
const void *states_find(const struct states *states, const char *stream);
/* Keeps a copy, in the place of what there was. */
int states_keep(struct states *states, const struct read_model *model, const char *stream, const void *state,
                struct err *err);
void states_drop(struct states *states, const char *stream);

#endif
