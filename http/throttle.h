/*
 * Limits on how often somebody may try something, over all workers of a pool, in memory that they share.
 *
 * Each limit is a leaky bucket (GCRA): it takes `quota` tries at once and gains one every window / quota. A bucket is
 * found by a keyed hash of who it is for, so nobody can choose whose he falls into, and the table names nobody. It has
 * a fixed size: where all places for a hash are taken, the one that is full again soonest is given up. A worker that
 * dies at any line leaves it usable; what two do at the same moment may count as one try.
 */
#ifndef COURANT_HTTP_THROTTLE_H
#define COURANT_HTTP_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct throttle;

struct limit {
    const char *name; /* «login» */
    int64_t quota, window_s;
};

/* What a try has left of a limit. */
struct allowance {
    bool refused;
    int64_t left;    /* tries */
    int64_t reset_s; /* until there are all of them again */
    int64_t retry_s; /* until there is one */
};

/* In memory that the children of this process will share. NULL when there is none. */
struct throttle *throttle_new(void);
void throttle_free(struct throttle **throttle);

/* One try; quota 0 allows any number. throttle may be NULL: then too. */
struct allowance throttle_take(struct throttle *throttle, const struct limit *limit, const void *who, size_t len);
/* The last try does not count. */
void throttle_give_back(struct throttle *throttle, const struct limit *limit, const void *who, size_t len);

#endif
