/* A ring of records. See hub.h. */
#include "notifier/hub.h"

#include <stdlib.h>

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
    hub->ring = calloc(hub->room, sizeof(struct record *));
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

/* A client may hold the record for longer. */
static void evict(struct hub *hub)
{
    struct record **at = place(hub, hub->first++);
    hub->bytes -= (*at)->size;
    record_drop(at);
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

void hub_limit(struct hub *hub, size_t bytes)
{
    hub->most = bytes;
    while (hub->bytes > hub->most && hub->first < hub->last)
        evict(hub);
}

static bool widen(struct hub *hub)
{
    struct hub wide = *hub;
    wide.room = hub->room * 2;
    wide.ring = calloc(wide.room, sizeof(struct record *));
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
    hub_limit(hub, hub->most);
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
