/* See align.h. */
#include "events/align.h"

#include <inttypes.h>
#include <string.h>

static const char REMEDY[] = "was the database restored from an old copy? See courantctl bus status";

/* Whether both hold the same event at the bus's last sequence: then they do at every one before. */
static int compare_last(struct bus *bus, struct sql *db, struct arena *arena, struct bus_end *end, struct err *err)
{
    struct envelope there;
    struct event_list here;
    int got = bus_get(bus, arena, end->position, &there, err);
    /* A limit that an operator has set may have taken the message away. */
    bool gone = got != 0 && err->kind == ERR_ABSENT;
    if (got != 0 && !gone)
        return err->kind == ERR_MALFORMED ? fail(err, ERR_CONFLICT, "%s", REMEDY) : -1;
    if (gone && eventlog_read(db, arena, end->position - 1, 1, &here, err) != 0)
        return -1;
    if (gone && here.count == 0)
        return fail(err, ERR_CONFLICT, "the log has no event at position %" PRId64 ": %s", end->position, REMEDY);
    memcpy(end->digest, gone ? here.events[0].digest : there.digest, SHA256_SIZE);
    return bus_missing(db, arena, end, 0, &here, err);
}

int bus_align(struct bus *bus, struct sql *db, struct arena *arena, struct bus_end *end, struct err *err)
{
    struct log_head head;
    end->position = -1;
    if (bus_last(bus, &end->position, err) != 0)
        return -1;
    if (end->position == 0)
        return 0;
    if (eventlog_head(db, arena, &head, err) != 0)
        return -1;
    if (end->position > head.position)
        return fail(err, ERR_CONFLICT, "the bus is at %" PRId64 ", ahead of the log at %" PRId64 ": %s", end->position,
                    head.position, REMEDY);
    return compare_last(bus, db, arena, end, err);
}

int bus_missing(struct sql *db, struct arena *arena, const struct bus_end *end, size_t limit, struct event_list *list,
                struct err *err)
{
    size_t seen = end->position > 0 ? 1 : 0;
    if (eventlog_read(db, arena, end->position - (int64_t)seen, limit + seen, list, err) != 0)
        return -1;
    if (seen == 1 && list->count == 0)
        return fail(err, ERR_CONFLICT, "the log no longer has the event at position %" PRId64 ": %s", end->position,
                    REMEDY);
    if (seen == 1 && memcmp(list->events[0].digest, end->digest, SHA256_SIZE) != 0)
        return fail(err, ERR_CONFLICT, "the bus holds another event than the log at position %" PRId64 ": %s",
                    end->position, REMEDY);
    list->events += seen;
    list->count -= seen;
    return 0;
}
