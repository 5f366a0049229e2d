/* Publishing and healing. See publisher.h. */
#include "events/publisher.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { LOCK_WAIT_MS = 50, REST_US = 1000000, CHUNK = 100, STEPS = 24, UNKNOWN = -1 };

struct lane {
    pthread_mutex_t lock;
    atomic_llong published;  /* the bus's last sequence, or UNKNOWN */
    atomic_llong rest_until; /* clock_steady */
};

struct lane *lane_new(bool shared)
{
    pthread_mutexattr_t attributes;
    struct lane *lane =
        mmap(NULL, sizeof *lane, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
    if (lane == MAP_FAILED)
        return NULL;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, shared ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    int status = pthread_mutex_init(&lane->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    atomic_store(&lane->published, UNKNOWN);
    if (status != 0)
        lane_free(&lane);
    return lane;
}

void lane_free(struct lane **lane)
{
    if (*lane != NULL)
        munmap(*lane, sizeof **lane);
    *lane = NULL;
}

/* Whether we hold the lock; without it we publish all the same, only with more refusals. */
static bool enter(struct lane *lane)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOCK_WAIT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    int status = pthread_mutex_clocklock(&lane->lock, CLOCK_MONOTONIC, &until);
    if (status == EOWNERDEAD) {
        /* What the dead one knew of the bus may be half an update old; the bus will correct us. */
        pthread_mutex_consistent(&lane->lock);
        status = 0;
    }
    return status == 0;
}

static void leave(struct lane *lane, bool held)
{
    if (held)
        pthread_mutex_unlock(&lane->lock);
}

static bool resting(const struct lane *lane)
{
    return clock_steady() < atomic_load(&lane->rest_until);
}

static int learn(struct bus *bus, struct lane *lane, struct err *err)
{
    int64_t last;
    if (bus_last(bus, &last, err) != 0)
        return -1;
    atomic_store(&lane->published, last);
    return 0;
}

/* The events that come next: the caller's own where they are, or else the log's. */
static int choose(struct sql *db, struct arena *arena, int64_t published, int64_t upto, const struct event_list *own,
                  struct event_list *next, struct err *err)
{
    if (own->count > 0 && own->events[0].position == published + 1) {
        *next = *own;
        return 0;
    }
    if (eventlog_read(db, arena, published, CHUNK, next, err) != 0)
        return -1;
    while (next->count > 0 && next->events[next->count - 1].position > upto)
        next->count--;
    if (next->count == 0)
        return fail(err, ERR_INTERNAL, "the log has no event after position %lld", (long long)published);
    return 0;
}

static int step(struct bus *bus, struct sql *db, struct lane *lane, struct arena *arena, int64_t upto,
                const struct event_list *own, struct err *err)
{
    struct event_list next;
    int64_t last;
    if (atomic_load(&lane->published) == UNKNOWN && learn(bus, lane, err) != 0)
        return -1;
    int64_t published = atomic_load(&lane->published);
    if (published >= upto)
        return 1;
    if (choose(db, arena, published, upto, own, &next, err) != 0)
        return -1;
    if (bus_publish(bus, arena, next.events, next.count, &last, err) == 0) {
        atomic_store(&lane->published, last);
        return last >= upto;
    }
    if (err->kind != ERR_CONFLICT)
        return -1;
    /* Elsewhere than we thought. 0 may also mean that there is no stream yet: bus_last makes it. */
    atomic_store(&lane->published, last > 0 ? last : UNKNOWN);
    return 0;
}

int publish_committed(struct bus *bus, struct sql *db, struct lane *lane, struct arena *arena,
                      const struct envelope *events, size_t count, struct err *err)
{
    const struct event_list own = {(struct envelope *)(uintptr_t)events, count};
    if (count == 0)
        return 0;
    if (!bus_connected(bus) || resting(lane))
        return fail(err, ERR_UNAVAILABLE, "bus: not connected");
    fault_point("before-publish");
    bool held = enter(lane);
    int status = 0;
    for (int i = 0; status == 0 && i < STEPS; i++)
        status = step(bus, db, lane, arena, events[count - 1].position, &own, err);
    if (status < 0) {
        atomic_store(&lane->published, UNKNOWN);
        atomic_store(&lane->rest_until, clock_steady() + REST_US);
    }
    leave(lane, held);
    return status < 0 ? -1 : 0;
}

int publish_missing(struct bus *bus, struct sql *db, struct lane *lane, struct arena *arena, int64_t upto,
                    struct err *err)
{
    const struct event_list none = {0};
    int status = step(bus, db, lane, arena, upto, &none, err);
    if (status < 0)
        atomic_store(&lane->published, UNKNOWN);
    return status;
}
