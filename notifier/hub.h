/*
 * The newest events, rendered once, in memory that every client's stream shares.
 *
 *      first                                   last
 *      |  record  |  record  |   …   |  record  |        evicted from the left when they exceed their bytes
 *
 * Invariant: the positions from first to last are all there, and last is what the tail has handed out; first is
 * last + 1 while it is empty.
 *
 * Of each stream that records in the ring show or withdraw, or whose content they hold, the hub knows whether it is
 * withdrawn: what a record says to everybody ends when a later event takes it back. That lives as long as such a record
 * is in the ring.
 */
#ifndef COURANT_NOTIFIER_HUB_H
#define COURANT_NOTIFIER_HUB_H

#include "domain/session.h"
#include "events/actor.h"
#include "events/event.h"
#include "events/model.h"

/* A stream, as the newest events leave it. */
struct subject {
    struct subject *next; /* of the same place in the table */
    size_t references;    /* records in the ring */
    bool withdrawn;
    char stream[];
};

/* One event as server-sent text, in two renderings: with its metadata and without. Counted. */
struct record {
    unsigned references; /* of the loop's thread */
    int64_t position;
    const char *type, *stream, *audience, *acting_user; /* acting_user: NULL where nobody */
    struct str with_metadata, without;
    size_t size;
    bool content;            /* withheld while its stream is withdrawn */
    unsigned effect;         /* event_effect */
    struct subject *subject; /* while it is in the ring, and has an effect */
    struct ending ending;    /* whose streams it ends; user_id NULL: nobody's */
    bool withdrawn;          /* else: as it was when it was read from the log, or left the ring */
};

/*
 * effect: of events/model.h. NULL when there is no memory. Made in any thread; from then on the loop's. scratch is
 * reset by its owner.
 */
struct record *record_new(struct arena *scratch, const struct envelope *event, unsigned effect);
/* Whether a stream of this reader is to end when this has happened. */
bool record_ends(const struct record *record, const struct actor *reader);
/* Whether what it says is for everybody no longer. */
bool record_withdrawn(const struct record *record);
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
