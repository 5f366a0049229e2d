/*
 * Keys of a table that is filled first: made at once in a full table, they take a fraction of what each row costs. What
 * they are is read from the table that it is like, so nothing is said twice.
 */
#ifndef COURANT_EVENTS_LATE_KEYS_H
#define COURANT_EVENTS_LATE_KEYS_H

#include "sql/db.h"

/* Drops all keys of «zrebuild_<name>» but the primary one. */
int late_keys_drop(struct sql *db, struct arena *arena, const char *name, struct err *err);

/* Gives «zrebuild_<name>» those keys of «<name>» that it lacks. A kill leaves it with all of them or with none. */
int late_keys_make(struct sql *db, struct arena *arena, const char *name, struct err *err);

#endif
