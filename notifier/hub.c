/* Records and their ring. See hub.h. */
#include "notifier/hub.h"

#include "base/buf.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct str render(struct arena *scratch, const struct envelope *event, bool with_metadata)
{
    struct buf buf;
    struct str json = event_public_json(scratch, event, with_metadata);
    buf_init(&buf, scratch);
    buf_printf(&buf, "id: %" PRId64 "\nevent: %s\ndata: ", event->position, event->type);
    buf_add(&buf, json.data, json.len);
    buf_puts(&buf, "\n\n");
    return buf.failed || json.data == NULL ? (struct str){NULL, 0} : buf_str(&buf);
}

static const char *put(char **at, const char *data, size_t len)
{
    char *start = *at;
    memcpy(start, data, len);
    start[len] = '\0';
    *at += len + 1;
    return start;
}

struct record *record_new(struct arena *scratch, const struct envelope *event, unsigned effect)
{
    struct str with = render(scratch, event, true), without = render(scratch, event, false);
    struct str user = json_member(event->metadata, "user_id");
    struct ending ending;
    const char *ends[] = {NULL, NULL, NULL};
    size_t ends_size = 0;
    if (session_ending(event, scratch, &ending)) {
        const char *const texts[] = {ending.user_id, ending.session_id, ending.spared};
        for (size_t i = 0; i < 3; i++)
            ends_size += (ends[i] = texts[i]) != NULL ? strlen(texts[i]) + 1 : 0;
    }
    size_t type = strlen(event->type), stream = strlen(event->stream), audience = strlen(event->audience);
    if (with.data == NULL || without.data == NULL)
        return NULL;
    size_t size = sizeof(struct record) + with.len + without.len + type + stream + audience + user.len + ends_size + 6;
    struct record *record = malloc(size);
    if (record == NULL)
        return NULL;
    char *at = (char *)(record + 1);
    *record = (struct record){.references = 1, .position = event->position, .size = size, .effect = effect};
    record->content = (effect & EVENT_CONTENT) != 0;
    record->type = put(&at, event->type, type);
    record->stream = put(&at, event->stream, stream);
    record->audience = put(&at, event->audience, audience);
    record->acting_user = user.len > 2 ? put(&at, user.data + 1, user.len - 2) : NULL;
    for (size_t i = 0; i < 3; i++)
        ends[i] = ends[i] != NULL ? put(&at, ends[i], strlen(ends[i])) : NULL;
    record->ending = (struct ending){ends[0], ends[1], ends[2], ending.over};
    record->with_metadata = (struct str){put(&at, with.data, with.len), with.len};
    record->without = (struct str){put(&at, without.data, without.len), without.len};
    return record;
}

bool record_ends(const struct record *record, const struct actor *reader)
{
    const struct ending *ending = &record->ending;
    if (ending->user_id == NULL || reader->user_id == NULL || strcmp(ending->user_id, reader->user_id) != 0)
        return false;
    if (ending->session_id != NULL)
        return strcmp(ending->session_id, reader->session_id) == 0;
    return ending->spared == NULL || strcmp(ending->spared, reader->session_id) != 0;
}

bool record_withdrawn(const struct record *record)
{
    return record->content && (record->subject != NULL ? record->subject->withdrawn : record->withdrawn);
}

struct record *record_keep(struct record *record)
{
    record->references++;
    return record;
}

void record_drop(struct record **record)
{
    if (*record != NULL && --(*record)->references == 0)
        free(*record);
    *record = NULL;
}

struct hub {
    struct record **ring;      /* position p stands at p % room */
    struct subject **subjects; /* by hash % room: no more than there are records */
    size_t room;               /* a power of two */
    int64_t first, last;
    size_t bytes, most;
};

struct hub *hub_new(int64_t position, size_t bytes)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return NULL;
    *hub = (struct hub){.room = 1024, .first = position + 1, .last = position, .most = bytes};
    hub->ring = calloc(hub->room, sizeof(struct record *));
    hub->subjects = calloc(hub->room, sizeof(struct subject *));
    if (hub->ring == NULL || hub->subjects == NULL) {
        free(hub->ring);
        free(hub->subjects);
        free(hub);
        return NULL;
    }
    return hub;
}

static struct record **place(const struct hub *hub, int64_t position)
{
    return &hub->ring[(size_t)position & (hub->room - 1)];
}

/* FNV-1a. */
static struct subject **bucket(const struct hub *hub, const char *stream)
{
    uint64_t hash = 14695981039346656037U;
    for (; *stream != '\0'; stream++)
        hash = (hash ^ (unsigned char)*stream) * 1099511628211U;
    return &hub->subjects[(hash ^ hash >> 32) & (hub->room - 1)];
}

/* The stream's, with one more reference; NULL when there is no memory. */
static struct subject *subject_keep(struct hub *hub, const char *stream)
{
    struct subject **first = bucket(hub, stream), *subject = *first;
    while (subject != NULL && strcmp(subject->stream, stream) != 0)
        subject = subject->next;
    if (subject == NULL) {
        size_t len = strlen(stream) + 1;
        subject = malloc(sizeof *subject + len);
        if (subject == NULL)
            return NULL;
        *subject = (struct subject){.next = *first};
        memcpy(subject->stream, stream, len);
        *first = subject;
    }
    subject->references++;
    return subject;
}

static void subject_drop(struct hub *hub, struct subject *subject)
{
    if (--subject->references > 0)
        return;
    struct subject **at = bucket(hub, subject->stream);
    while (*at != subject)
        at = &(*at)->next;
    *at = subject->next;
    free(subject);
}

/* A client may hold the record for longer. */
static void evict(struct hub *hub)
{
    struct record **at = place(hub, hub->first++), *record = *at;
    hub->bytes -= record->size;
    if (record->subject != NULL) {
        record->withdrawn = record->subject->withdrawn;
        subject_drop(hub, record->subject);
        record->subject = NULL;
    }
    record_drop(at);
}

void hub_free(struct hub **hub)
{
    if (*hub == NULL)
        return;
    while ((*hub)->first <= (*hub)->last)
        evict(*hub);
    free((*hub)->ring);
    free((*hub)->subjects);
    free(*hub);
    *hub = NULL;
}

static bool widen(struct hub *hub)
{
    struct hub wide = *hub;
    wide.room = hub->room * 2;
    wide.ring = calloc(wide.room, sizeof(struct record *));
    wide.subjects = calloc(wide.room, sizeof(struct subject *));
    if (wide.ring == NULL || wide.subjects == NULL) {
        free(wide.ring);
        free(wide.subjects);
        return false;
    }
    for (int64_t p = hub->first; p <= hub->last; p++)
        *place(&wide, p) = *place(hub, p);
    for (size_t i = 0; i < hub->room; i++)
        for (struct subject *subject = hub->subjects[i], *next; subject != NULL; subject = next) {
            struct subject **first = bucket(&wide, subject->stream);
            next = subject->next;
            subject->next = *first;
            *first = subject;
        }
    free(hub->ring);
    free(hub->subjects);
    *hub = wide;
    return true;
}

bool hub_add(struct hub *hub, struct record *record)
{
    if ((size_t)(hub->last - hub->first + 1) == hub->room && !widen(hub))
        return false;
    if (record->effect != 0) {
        record->subject = subject_keep(hub, record->stream);
        if (record->subject == NULL)
            return false;
        if ((record->effect & (EVENT_SHOWS | EVENT_WITHDRAWS)) != 0)
            record->subject->withdrawn = (record->effect & EVENT_WITHDRAWS) != 0;
    }
    hub->last++;
    *place(hub, hub->last) = record;
    hub->bytes += record->size;
    while (hub->bytes > hub->most && hub->first < hub->last)
        evict(hub);
    return true;
}

int64_t hub_first(const struct hub *hub)
{
    return hub->first;
}

int64_t hub_last(const struct hub *hub)
{
    return hub->last;
}

struct record *hub_at(const struct hub *hub, int64_t position)
{
    return *place(hub, position);
}
