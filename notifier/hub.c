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

struct record *record_new(struct arena *scratch, const struct envelope *event)
{
    struct str with = render(scratch, event, true), without = render(scratch, event, false);
    struct str user = json_member(event->metadata, "user_id");
    size_t type = strlen(event->type), audience = strlen(event->audience);
    if (with.data == NULL || without.data == NULL)
        return NULL;
    size_t size = sizeof(struct record) + with.len + without.len + type + audience + user.len + 5;
    struct record *record = malloc(size);
    if (record == NULL)
        return NULL;
    char *at = (char *)(record + 1);
    *record = (struct record){.references = 1, .position = event->position, .size = size};
    record->type = put(&at, event->type, type);
    record->audience = put(&at, event->audience, audience);
    record->acting_user = user.len > 2 ? put(&at, user.data + 1, user.len - 2) : NULL;
    record->with_metadata = (struct str){put(&at, with.data, with.len), with.len};
    record->without = (struct str){put(&at, without.data, without.len), without.len};
    return record;
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
    struct record **ring; /* position p stands at p % room */
    size_t room;          /* a power of two */
    int64_t first, last;
    size_t bytes, most;
};

struct hub *hub_new(int64_t position, size_t bytes)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return NULL;
    *hub = (struct hub){.room = 1024, .first = position + 1, .last = position, .most = bytes};
    hub->ring = calloc(hub->room, sizeof *hub->ring);
    if (hub->ring == NULL) {
        free(hub);
        return NULL;
    }
    return hub;
}

static struct record **place(const struct hub *hub, int64_t position)
{
    return &hub->ring[(size_t)position & (hub->room - 1)];
}

static void evict(struct hub *hub)
{
    struct record **record = place(hub, hub->first++);
    hub->bytes -= (*record)->size;
    record_drop(record);
}

void hub_free(struct hub **hub)
{
    if (*hub == NULL)
        return;
    while ((*hub)->first <= (*hub)->last)
        evict(*hub);
    free((*hub)->ring);
    free(*hub);
    *hub = NULL;
}

static bool widen(struct hub *hub)
{
    struct hub wide = *hub;
    wide.room = hub->room * 2;
    wide.ring = calloc(wide.room, sizeof *wide.ring);
    if (wide.ring == NULL)
        return false;
    for (int64_t p = hub->first; p <= hub->last; p++)
        *place(&wide, p) = *place(hub, p);
    free(hub->ring);
    *hub = wide;
    return true;
}

bool hub_add(struct hub *hub, struct record *record)
{
    if ((size_t)(hub->last - hub->first + 1) == hub->room && !widen(hub))
        return false;
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
