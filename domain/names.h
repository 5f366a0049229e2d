/*
 * The names of users, which are looked up wherever one is shown: a user may change it, or have it erased.
 *
 * A worker keeps those that it has seen. They are dropped when known_names says that some name has changed: at once for
 * what this pool commits, within KNOWN_US for what others do, as with all that a query shows.
 */
#ifndef COURANT_DOMAIN_NAMES_H
#define COURANT_DOMAIN_NAMES_H

#include "events/known.h"

/*
 * name: NULL for one who has none any more. changed: when it was last another; INT64_MIN never, INT64_MAX unknown.
 */
struct author {
    const char *id, *name;
    int64_t changed;
};

struct names;

/* Of one process. known: the pool's. NULL when there is no memory. */
struct names *names_new(struct known *known);
void names_free(struct names **names);

/* Sets the names of these, in the arena, and when they changed. names may be NULL: then all are asked for. */
int names_find(struct names *names, struct sql *db, struct arena *arena, struct author *authors, size_t count,
               struct err *err);

#endif
