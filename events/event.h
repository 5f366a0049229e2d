/*
 * The envelope: one event as the log, the bus and the streams know it.
 *
 * A text member is NUL-terminated and lives in the arena of whoever made the event. stream, type and audience are
 * ASCII without quotes, backslashes or control characters; data and metadata are JSON objects, kept byte for byte.
 */
#ifndef COURANT_EVENTS_EVENT_H
#define COURANT_EVENTS_EVENT_H

#include "base/arena.h"
#include "base/crypt.h"
#include "base/id.h"

#include <stdint.h>

struct envelope {
    int64_t position; /* in the log: 1, 2, 3, … */
    char id[ID_TEXT];
    const char *stream;   /* «article-<uuid>» */
    int64_t version;      /* in the stream: 1, 2, 3, … */
    const char *type;     /* «article.created» */
    const char *audience; /* see events/actor.h */
    struct str data, metadata;
    int schema; /* of data; from the metadata, see events/model.h */
    int64_t recorded_at;
    unsigned char digest[SHA256_SIZE];
    unsigned char hash[SHA256_SIZE];
};

enum { EVENT_SCHEMA_MOST = 1000 };

/*
 * Events that are read together have no more bytes than this: then the reader goes on where it is. One event may be
 * longer; the limits of a message and of an import bound it.
 */
enum { EVENTS_BYTES = 8 * 1024 * 1024 };

/* The schema number that an event's metadata names: 1 where it names none, 0 for one that is no number. */
int event_schema(struct str metadata);

/*
 * The digest: SHA-256 over id, stream, version, type, audience, recorded_at (RFC 3339), data, metadata, each written
 * as «<bytes>:<content>,» so that no two contents give the same bytes.
 */
void event_digest(const struct envelope *event, unsigned char digest[SHA256_SIZE]);

/* hash = SHA-256(hash of the event before it ‖ digest); 32 zero bytes stand before the first. */
void event_chain(const unsigned char before[SHA256_SIZE], const unsigned char digest[SHA256_SIZE],
                 unsigned char hash[SHA256_SIZE]);

/* Whether it is what its digest says and comes after that hash, which becomes its own; ERR_DAMAGED. */
int event_check(const struct envelope *event, unsigned char hash[SHA256_SIZE], struct err *err);

/* What goes over the bus: one JSON object with all of the above but the hash. {NULL, 0} when the arena is exhausted. */
struct str event_message(struct arena *arena, const struct envelope *event);

/* Reads such a message and checks its digest; the texts are copied to the arena. */
int event_from_message(struct arena *arena, const char *text, size_t len, struct envelope *event, struct err *err);

/*
 * What a browser gets, on one line: id, type, stream, version, position, timestamp, data and metadata, the last one
 * empty unless the reader may know who acted. {NULL, 0} when the arena is exhausted.
 */
struct str event_public_json(struct arena *arena, const struct envelope *event, bool with_metadata);

#endif
