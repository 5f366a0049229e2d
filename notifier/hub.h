/*
 * The newest events, in memory that the clients of one loop share; each loop has one, the records are the same.
 *
 *      first                                   last
 *      |  record  |  record  |   …   |  record  |        evicted from the left when they exceed their bytes
 *
 * Invariant: the positions from first to last are all there, and last is what the loop was handed; first is last + 1
 * while it is empty.
 */
#ifndef COURANT_NOTIFIER_HUB_H
#define COURANT_NOTIFIER_HUB_H

#include "notifier/record.h"

struct hub;

/* position: the last one before those that will be added. bytes: the most that the records may take. */
struct hub *hub_new(int64_t position, size_t bytes);
void hub_free(struct hub **hub);

/* From here on. */
void hub_limit(struct hub *hub, size_t bytes);

/* Takes over a reference to the record of position last + 1. False when there is no memory; then nothing changed. */
bool hub_add(struct hub *hub, struct record *record);

int64_t hub_first(const struct hub *hub);
int64_t hub_last(const struct hub *hub);

/* The record of a position from first to last; still the hub's. */
struct record *hub_at(const struct hub *hub, int64_t position);

#endif
