/*
 * Sides: tables that follow from the rows of a read model (struct side in model.h). A command writes its own
 * (row_write); this is for many rows at once: folding, rebuilding, comparing.
 */
#ifndef COURANT_EVENTS_SIDES_H
#define COURANT_EVENTS_SIDES_H

#include "events/touched.h"

/* Makes the sides of these streams' states anew, in the tables «<prefix><name>». The states are derived. */
int sides_write(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                const struct touched_list *list, struct err *err);

/* Makes the shadows «zrebuild_<name>» of all sides, from the shadow of the table. */
int sides_make(struct sql *db, struct arena *arena, const struct read_model *rows, struct err *err);

/* id: NULL where there is none. */
struct sides_difference {
    const char *id;
    const struct side *side;
};

/* Looks for a side that has other rows than these states, derived, with these ids, say. */
int sides_check(struct sql *db, struct arena *arena, const struct read_model *rows, const void *const *states,
                const char *const *ids, size_t count, struct sides_difference *found, struct err *err);

/* The rows that are in a side for the ids after one and up to another, sorted. */
int sides_range(struct sql *db, struct arena *arena, const struct side *side, const char *after, const char *upto,
                struct side_rows *there, struct err *err);

#endif
