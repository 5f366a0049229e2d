/* courantctl bus status | bus rebuild [--force]: the bus beside the log, and filling it. */
#include "ctl/ctl.h"

#include "ctl/progress.h"
#include "events/align.h"
#include "events/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DELETE_TRIES = 20, PAUSE_NS = 100000000, FILL_TRIES = 5, FILL_PAUSE_S = 2 };

static const char USAGE[] = "bus status | bus rebuild [--force]";

static int say_status(struct ctl *ctl, struct bus *bus, struct err *err)
{
    int64_t first = 0, last = 0;
    struct log_head head;
    struct bus_end end;
    bool none = bus_state(bus, &first, &last, err) != 0;
    if (none && err->kind != ERR_ABSENT)
        return -1;
    if (eventlog_head(ctl->db, ctl->arena, &head, err) != 0)
        return -1;
    printf("log      ends at position %" PRId64 "\n", head.position);
    if (none) {
        printf("bus      there is no stream %s\nstate    missing: courantctl bus rebuild fills it\n",
               ctl->conf.nats_stream);
        return fail(err, ERR_CONFLICT, "the bus is missing");
    }
    printf("bus      stream %s, sequences %" PRId64 " to %" PRId64 "\n", ctl->conf.nats_stream, first, last);
    if (bus_align(bus, ctl->db, ctl->arena, &end, err) != 0) {
        if (err->kind == ERR_CONFLICT)
            printf("state    REFUSED %s\n         courantctl bus rebuild --force makes it anew from the log\n",
                   err->text);
        return -1;
    }
    if (end.position < head.position) {
        printf("state    behind by %" PRId64 "\n", head.position - end.position);
        return fail(err, ERR_CONFLICT, "the bus is behind by %" PRId64, head.position - end.position);
    }
    printf("state    in step\n");
    return 0;
}

/* Steps, until there is nothing more to do. */
static int publish_all(struct ctl *ctl, struct bus *bus, struct lane *lane, int64_t upto, struct progress *progress,
                       struct err *err)
{
    int done = 0;
    while (done == 0 && upto > 0) {
        arena_reset(ctl->arena);
        done = publish_missing(bus, ctl->db, lane, ctl->arena, upto, err);
        progress_at(progress, lane_published(lane));
    }
    return done;
}

/* Publishes what is missing, up to where the log ended when it began. */
static int fill(struct ctl *ctl, struct bus *bus, int64_t last, struct err *err)
{
    struct log_head head;
    struct progress progress;
    struct lane *lane = lane_new(false);
    int done = lane != NULL ? 0 : fail(err, ERR_UNAVAILABLE, "no memory");
    if (done == 0 && (eventlog_head(ctl->db, ctl->arena, &head, err) != 0 || eventlog_fence(ctl->db, err) != 0))
        done = -1;
    progress_start(&progress, "bus", last, done == 0 ? head.position : 0);
    if (done == 0)
        done = publish_all(ctl, bus, lane, head.position, &progress, err);
    progress_end(&progress);
    lane_free(&lane);
    if (done < 0)
        return -1;
    printf("filled   %" PRId64 " events, %.0f events/s; the bus is at %" PRId64 "\n", head.position - last,
           progress_rate(&progress), head.position);
    return 0;
}

/*
 * Deletes what is there, until there is no stream, or a new one from 1. Workers make one as soon as there is none, and
 * one that nats-server makes while it still deletes another of that name may begin where that one ended.
 */
static int empty(struct ctl *ctl, struct bus *bus, struct err *err)
{
    int64_t first, last;
    const struct timespec pause = {0, PAUSE_NS};
    for (int i = 0; i < DELETE_TRIES; i++) {
        if (bus_state(bus, &first, &last, err) != 0)
            return err->kind == ERR_ABSENT ? 0 : -1;
        if (i > 0 && first <= 1)
            return 0;
        if (bus_delete(bus, err) != 0)
            return -1;
        printf("deleted  stream %s, up to sequence %" PRId64 "\n", ctl->conf.nats_stream, last);
        nanosleep(&pause, NULL);
    }
    return fail(err, ERR_UNAVAILABLE, "the stream %s comes back where it ended each time it is deleted",
                ctl->conf.nats_stream);
}

/*
 * By force whatever is there: that the end is right does not say that what is before it is. A stream that nats-server
 * made while it still deleted the other's files may store nothing; then once more.
 */
static int rebuild(struct ctl *ctl, struct bus *bus, bool force, struct err *err)
{
    const struct timespec pause = {FILL_PAUSE_S, 0};
    struct bus_end end = {0};
    if (!force)
        return bus_align(bus, ctl->db, ctl->arena, &end, err) == 0 ? fill(ctl, bus, end.position, err) : -1;
    for (int i = 0, status = -1; i < FILL_TRIES; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        status = empty(ctl, bus, err) == 0 ? fill(ctl, bus, 0, err) : -1;
        if (status == 0 || err->kind != ERR_UNAVAILABLE)
            return status;
    }
    return -1;
}

int ctl_bus(struct ctl *ctl, int argc, char **argv)
{
    struct bus *bus;
    struct err err;
    bool fills = argc >= 2 && strcmp(argv[1], "rebuild") == 0, force = argc == 3 && strcmp(argv[2], "--force") == 0;
    if (!(argc == 2 && strcmp(argv[1], "status") == 0) && !(fills && (argc == 2 || force)))
        return ctl_usage(USAGE);
    int status = bus_open(&bus, &ctl->conf, &err);
    if (status == 0)
        status = bus_await(bus, &err);
    if (status == 0)
        status = fills ? rebuild(ctl, bus, force, &err) : say_status(ctl, bus, &err);
    bus_close(&bus);
    bus_end();
    return status == 0 ? CTL_OK : ctl_error(&err);
}
