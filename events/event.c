/* Digest and texts of an event. See event.h. */
#include "events/event.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_field(struct sha256 *hash, const char *data, size_t len)
{
    char prefix[24];
    int prefix_len = snprintf(prefix, sizeof prefix, "%zu:", len);
    sha256_add(hash, prefix, (size_t)prefix_len);
    sha256_add(hash, data, len);
    sha256_add(hash, ",", 1);
}

int event_schema(struct str metadata)
{
    struct str raw = json_member(metadata, "schema");
    int64_t schema = raw.data == NULL ? 1 : json_whole(raw);
    return schema >= 1 && schema <= EVENT_SCHEMA_MOST ? (int)schema : 0;
}

void event_digest(const struct envelope *event, unsigned char digest[SHA256_SIZE])
{
    char version[24], stamp[CLOCK_TEXT];
    struct sha256 hash;
    snprintf(version, sizeof version, "%" PRId64, event->version);
    clock_rfc3339(event->recorded_at, stamp);
    sha256_start(&hash);
    const char *const texts[] = {event->id, event->stream, version, event->type, event->audience, stamp};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        add_field(&hash, texts[i], strlen(texts[i]));
    add_field(&hash, event->data.data, event->data.len);
    add_field(&hash, event->metadata.data, event->metadata.len);
    sha256_end(&hash, digest);
}

void event_chain(const unsigned char before[SHA256_SIZE], const unsigned char digest[SHA256_SIZE],
                 unsigned char hash[SHA256_SIZE])
{
    struct sha256 state;
    sha256_start(&state);
    sha256_add(&state, before, SHA256_SIZE);
    sha256_add(&state, digest, SHA256_SIZE);
    sha256_end(&state, hash);
}

int event_check(const struct envelope *event, unsigned char hash[SHA256_SIZE], struct err *err)
{
    unsigned char digest[SHA256_SIZE], next[SHA256_SIZE];
    event_digest(event, digest);
    event_chain(hash, event->digest, next);
    if (memcmp(digest, event->digest, SHA256_SIZE) != 0)
        return fail(err, ERR_DAMAGED, "position %" PRId64 ": the event does not match its digest", event->position);
    if (memcmp(next, event->hash, SHA256_SIZE) != 0)
        return fail(err, ERR_DAMAGED, "position %" PRId64 ": the hash does not follow from the one before",
                    event->position);
    memcpy(hash, next, SHA256_SIZE);
    return 0;
}

/* For what is around data and metadata. */
enum { ENVELOPE = 1024 };

static void add_envelope(struct buf *buf, const struct envelope *event)
{
    char stamp[CLOCK_TEXT];
    clock_rfc3339(event->recorded_at, stamp);
    buf_printf(buf,
               "{\"id\":\"%s\",\"type\":\"%s\",\"stream\":\"%s\",\"version\":%" PRId64 ",\"position\":%" PRId64
               ",\"timestamp\":\"%s\",\"data\":",
               event->id, event->type, event->stream, event->version, event->position, stamp);
    buf_add(buf, event->data.data, event->data.len);
    buf_puts(buf, ",\"metadata\":");
}

struct str event_message(struct arena *arena, const struct envelope *event)
{
    char digest[2 * SHA256_SIZE + 1];
    struct buf buf;
    hex_encode(event->digest, SHA256_SIZE, digest);
    buf_init(&buf, arena);
    buf_room(&buf, event->data.len + event->metadata.len + strlen(event->audience) + ENVELOPE);
    add_envelope(&buf, event);
    buf_add(&buf, event->metadata.data, event->metadata.len);
    buf_printf(&buf, ",\"audience\":\"%s\",\"digest\":\"%s\"}", event->audience, digest);
    return buf.failed ? (struct str){NULL, 0} : buf_str(&buf);
}

struct str event_public_json(struct arena *arena, const struct envelope *event, bool with_metadata)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_room(&buf, event->data.len + event->metadata.len + ENVELOPE);
    add_envelope(&buf, event);
    if (with_metadata)
        buf_add(&buf, event->metadata.data, event->metadata.len);
    else
        buf_puts(&buf, "{}");
    buf_puts(&buf, "}");
    return buf.failed ? (struct str){NULL, 0} : buf_str(&buf);
}

/* The members of a message, in the order of NAMES. */
enum member {
    OF_ID,
    OF_TYPE,
    OF_STREAM,
    OF_VERSION,
    OF_POSITION,
    OF_TIMESTAMP,
    OF_DATA,
    OF_METADATA,
    OF_AUDIENCE,
    OF_DIGEST,
    MEMBERS
};

static const char *const NAMES[MEMBERS] = {"id",        "type", "stream",   "version",  "position",
                                           "timestamp", "data", "metadata", "audience", "digest"};

/* A string whose raw text needs no unescaping; NULL for any other value. */
static const char *plain(struct arena *arena, struct str raw)
{
    if (raw.len < 2 || raw.data[0] != '"' || memchr(raw.data, '\\', raw.len) != NULL)
        return NULL;
    return arena_copy(arena, raw.data + 1, raw.len - 2);
}

static struct str object(struct arena *arena, struct str raw)
{
    if (raw.len == 0 || raw.data[0] != '{')
        return (struct str){NULL, 0};
    return (struct str){arena_copy(arena, raw.data, raw.len), raw.len};
}

static int take_members(struct arena *arena, const struct str *raw, struct envelope *event)
{
    const char *id = plain(arena, raw[OF_ID]), *stamp = plain(arena, raw[OF_TIMESTAMP]),
               *sum = plain(arena, raw[OF_DIGEST]);
    *event = (struct envelope){.position = json_whole(raw[OF_POSITION]),
                               .stream = plain(arena, raw[OF_STREAM]),
                               .version = json_whole(raw[OF_VERSION]),
                               .type = plain(arena, raw[OF_TYPE]),
                               .audience = plain(arena, raw[OF_AUDIENCE]),
                               .data = object(arena, raw[OF_DATA]),
                               .metadata = object(arena, raw[OF_METADATA])};
    if (id == NULL || !id_valid(id, strlen(id)) || stamp == NULL || sum == NULL || event->position < 1 ||
        event->version < 1 || event->stream == NULL || event->type == NULL || event->audience == NULL ||
        event->data.data == NULL || event->metadata.data == NULL ||
        !hex_decode(sum, strlen(sum), event->digest, SHA256_SIZE))
        return -1;
    memcpy(event->id, id, ID_TEXT);
    event->recorded_at = clock_parse(stamp, strlen(stamp));
    event->schema = event_schema(event->metadata);
    return 0;
}

int event_from_message(struct arena *arena, const char *text, size_t len, struct envelope *event, struct err *err)
{
    struct str raw[MEMBERS];
    unsigned char digest[SHA256_SIZE];
    if (json_check(text, len, err) != 0)
        return -1;
    json_members((struct str){text, len}, NAMES, raw, MEMBERS);
    if (take_members(arena, raw, event) != 0)
        return fail(err, ERR_MALFORMED, "the message is not an event");
    event_digest(event, digest);
    if (memcmp(digest, event->digest, SHA256_SIZE) != 0)
        return fail(err, ERR_MALFORMED, "position %" PRId64 ": the event does not match its digest", event->position);
    return 0;
}
