/* See align.h. */
#include "events/align.h"

#include <inttypes.h>
#include <string.h>

static const char REMEDY[] = "was the database restored from an old copy? See courantctl bus status";

/* Whether both hold the same event at the bus's last sequence: then they do at every one before. */
static int compare_last(struct bus *bus, struct sql *db, struct arena *arena, int64_t last, struct err *err)
{
    struct envelope there;
    struct event_list here;
    if (bus_get(bus, arena, last, &there, err) != 0)
        /* A limit that an operator has set may have taken the message away. */
        return err->kind == ERR_ABSENT ? 0 : err->kind == ERR_MALFORMED ? fail(err, ERR_CONFLICT, "%s", REMEDY) : -1;
    if (eventlog_read(db, arena, last - 1, 1, &here, err) != 0)
        return -1;
    if (here.count == 1 && memcmp(here.events[0].digest, there.digest, SHA256_SIZE) == 0)
        return 0;
    return fail(err, ERR_CONFLICT, "the bus holds another event than the log at position %" PRId64 ": %s", last,
                REMEDY);
}

int bus_align(struct bus *bus, struct sql *db, struct arena *arena, int64_t *last, struct err *err)
{
    struct log_head head;
    *last = -1;
    if (bus_last(bus, last, err) != 0)
        return -1;
    if (*last == 0)
        return 0;
    if (eventlog_head(db, arena, &head, err) != 0)
        return -1;
    if (*last > head.position)
        return fail(err, ERR_CONFLICT, "the bus is at %" PRId64 ", ahead of the log at %" PRId64 ": %s", *last,
                    head.position, REMEDY);
    return compare_last(bus, db, arena, *last, err);
}
