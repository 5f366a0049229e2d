/*
 * One event as server-sent text, made once and shared by all that send it: loops, rings, chunks of the log, clients.
 *
 *      text      id: … data: {…,"metadata":{ | }}\n\n      for most
 *                <------- shared ----------->|
 *      rest                                  | "user_id":…}}\n\n
 *
 * Who may know who caused it gets the first part of text and then rest. A record is never changed once it is made, but
 * for its count of references and what withdrawn.h remembers of it.
 */
#ifndef COURANT_NOTIFIER_RECORD_H
#define COURANT_NOTIFIER_RECORD_H

#include "domain/session.h"
#include "events/actor.h"
#include "events/event.h"
#include "events/model.h"

#include <stdatomic.h>

/* What its type begins with, as far as topics ask. */
enum category { CATEGORY_OTHER, CATEGORY_ARTICLE, CATEGORY_LINK, CATEGORY_CANARY };

struct record {
    atomic_uint references;
    enum category category;
    int64_t position, recorded_at;
    const char *stream, *audience, *acting_user; /* acting_user: NULL where nobody */
    struct str text, rest;
    size_t shared;
    size_t size;          /* in bytes of memory */
    bool public, content; /* for everybody; withheld while its stream is withdrawn */
    unsigned effect;      /* event_effect */
    struct ending ending; /* whose streams it ends; user_id NULL: nobody's */
    atomic_uint_fast64_t judged;
};

/* Records of successive positions, each with a reference that goes to whoever takes the list. */
struct records {
    struct record **items;
    size_t count, room;
};

/*
 * effect: of events/model.h. NULL when there is no memory. scratch is reset by its owner. The one reference is the
 * caller's.
 */
struct record *record_new(struct arena *scratch, const struct envelope *event, unsigned effect);
struct record *record_keep(struct record *record);
void record_drop(struct record **record);

/* Whether a stream of this reader is to end when this has happened. */
bool record_ends(const struct record *record, const struct actor *reader);

/* Takes over the reference. False when there is no memory; then nothing changed. */
bool records_add(struct records *records, struct record *record);
/* Drops all, and the list. */
void records_free(struct records *records);

#endif
