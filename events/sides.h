/*
 * Sides: tables that follow from the rows of a read model (struct side in model.h). A command writes its own
 * (row_write); this is for many rows at once: folding, rebuilding, comparing.
 */
#ifndef COURANT_EVENTS_SIDES_H
#define COURANT_EVENTS_SIDES_H

#include "events/touched.h"

/* Makes the sides of these streams' rows anew, in the tables «<prefix><name>», from «<prefix><table>». */
int sides_write(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                const struct touched_list *list, struct err *err);

/* Makes the shadows «rebuild_<name>» of all sides, from the shadow of the table. */
int sides_make(struct sql *db, struct arena *arena, const struct read_model *rows, struct err *err);

/*
 * Which of these ids have other rows in a side than their row of the table says: ids, with the side's name, or none.
 */
int sides_check(struct sql *db, struct arena *arena, const struct read_model *rows, const char *const *ids,
                size_t count, struct sql_rows *found, struct err *err);

/* The same between the side and its shadow, for the ids after one and up to another. */
int sides_compare(struct sql *db, struct arena *arena, const struct side *side, const char *after, const char *upto,
                  struct sql_rows *found, struct err *err);

#endif
