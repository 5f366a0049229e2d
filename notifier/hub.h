/*
 * The newest events, rendered once, in memory that every client's stream shares.
 *
 *      first                                   last
 *      |  record  |  record  |   …   |  record  |        evicted from the left when they exceed their bytes
 *
 * Invariant: the positions from first to last are all there, and last is what the tail has handed out; first is
 * last + 1 while it is empty.
 */
#ifndef COURANT_NOTIFIER_HUB_H
#define COURANT_NOTIFIER_HUB_H

#include "events/actor.h"
#include "events/event.h"

/* One event as server-sent text, in two renderings: with its metadata and without. Counted; never changed. */
struct record {
    unsigned references; /* of the loop's thread */
    int64_t position;
    const char *type, *audience, *acting_user; /* acting_user: NULL where nobody */
    struct str with_metadata, without;
    size_t size;
};

/* NULL when there is no memory. Made in any thread; from then on the loop's. scratch is reset by its owner. */
struct record *record_new(struct arena *scratch, const struct envelope *event);
struct record *record_keep(struct record *record);
void record_drop(struct record **record);

struct hub;

struct hub *hub_new(int64_t position, size_t bytes);
void hub_free(struct hub **hub);

/* Takes over a reference to the record of position last + 1. False when there is no memory; then nothing changed. */
bool hub_add(struct hub *hub, struct record *record);

int64_t hub_first(const struct hub *hub);
int64_t hub_last(const struct hub *hub);

/* The record of a position from first to last; still the hub's. */
struct record *hub_at(const struct hub *hub, int64_t position);

#endif
