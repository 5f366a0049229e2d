/* Publishing and healing. See publisher.h. */
#include "events/publisher.h"

#include "base/clock.h"
#include "base/fault.h"
#include "events/align.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    STUCK_US = 100000, /* a holder that has not moved for so long is passed by */
    GATHER_US = 2000,
    GATHER_SERVING_US = 5000,
    TURN_US = 10000,   /* how long one holder goes on when another could */
    HAND_OVER_MS = 20, /* how long that other waits for it */
    REST_US = 1000000,
    CHUNK = 100,
    SMALL = 2 * CHUNK,
    STEPS = 64,
    SLEEP_US = 500000,  /* a holder that serves looks at least so often */
    CHECK_US = 1000000, /* and with nothing to do whether the log is still the one that it published */
    PAUSE_US = 20000,
    UNKNOWN = -1,
    BATCH_LIMIT = 64 * 1024 * 1024,
};

struct lane {
    pthread_mutex_t lock;
    atomic_llong committed;  /* the last position that a process of the pool has committed */
    atomic_llong published;  /* the bus's last sequence, or UNKNOWN */
    struct bus_end end;      /* the holder's: what is at `published`, if that is its position */
    int64_t next_check;      /* the holder's: clock_steady */
    atomic_llong due;        /* clock_steady: when the holder must have moved, unless it is stopped */
    atomic_llong rest_until; /* clock_steady */
    atomic_llong refused;    /* where the bus ended when it last took nothing behind it, or UNKNOWN */
    atomic_bool tired;       /* the holder has had its turn and would hand over */
    atomic_int waiting;      /* who would take over */
    atomic_uint wake;        /* a futex: what the holder sleeps on when there is nothing to do */
    atomic_bool sleeping;
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
    atomic_store(&lane->refused, UNKNOWN);
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

int64_t lane_published(const struct lane *lane)
{
    return atomic_load(&lane->published);
}

static void promise(struct lane *lane, const struct bus *bus)
{
    atomic_store(&lane->due, clock_steady() + bus_patience(bus) + STUCK_US);
}

static bool taken(struct lane *lane, const struct bus *bus, int status)
{
    if (status == EOWNERDEAD) {
        /* What the dead one knew of the bus may be half an update old. */
        pthread_mutex_consistent(&lane->lock);
        atomic_store(&lane->published, UNKNOWN);
        status = 0;
    }
    if (status == 0) {
        atomic_store(&lane->tired, false);
        promise(lane, bus);
    }
    return status == 0;
}

static bool take_over(struct lane *lane, const struct bus *bus)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += HAND_OVER_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    atomic_fetch_add(&lane->waiting, 1);
    bool held = taken(lane, bus, pthread_mutex_clocklock(&lane->lock, CLOCK_MONOTONIC, &until));
    atomic_fetch_sub(&lane->waiting, 1);
    return held;
}

/*
 * ENTERED: we hold the lane. LEFT_TO_HOLDER: somebody does, and will look at `committed` again before it ends, so ours
 * is in good hands. ALONE: its holder is stopped; we publish without it, only with more refusals.
 */
enum entry { ENTERED, LEFT_TO_HOLDER, ALONE };

static enum entry enter(struct lane *lane, const struct bus *bus)
{
    if (taken(lane, bus, pthread_mutex_trylock(&lane->lock)) || (atomic_load(&lane->tired) && take_over(lane, bus)))
        return ENTERED;
    return clock_steady() > atomic_load(&lane->due) ? ALONE : LEFT_TO_HOLDER;
}

static void raise_to(atomic_llong *value, long long least)
{
    long long now = atomic_load(value);
    while (now < least && !atomic_compare_exchange_weak(value, &now, least))
        ;
}

static bool resting(const struct lane *lane)
{
    return clock_steady() < atomic_load(&lane->rest_until);
}

/*
 * What the pool has committed is in the log; when the log ends before that, it is another one, restored from an older
 * copy. Who commits in between raises it again, and is not undone.
 */
static int lower_to_log(struct sql *db, struct lane *lane, struct arena *arena, struct err *err)
{
    struct log_head head;
    long long committed = atomic_load(&lane->committed);
    if (eventlog_head(db, arena, &head, err) != 0)
        return -1;
    if (head.position < committed)
        atomic_compare_exchange_strong(&lane->committed, &committed, head.position);
    return 0;
}

static int learn(struct bus *bus, struct sql *db, struct lane *lane, struct bus_end *end, struct arena *arena,
                 struct err *err)
{
    if (lower_to_log(db, lane, arena, err) != 0 || bus_align(bus, db, arena, end, err) != 0)
        return -1;
    atomic_store(&lane->published, end->position);
    return 0;
}

/*
 * One batch. Each is read from the log together with the event before it, which must be the one that the bus ends with:
 * so nothing of one history is put behind another one, whatever was restored meanwhile.
 */
static int step(struct bus *bus, struct sql *db, struct lane *lane, struct bus_end *end, struct arena *arena,
                int64_t upto, struct err *err)
{
    struct event_list next;
    int64_t last;
    bool known = atomic_load(&lane->published) == end->position && end->position >= 0;
    if ((bus_reconnected(bus) || !known) && learn(bus, db, lane, end, arena, err) != 0)
        return -1;
    if (end->position >= upto)
        return 1;
    if (bus_missing(db, arena, end, CHUNK, &next, err) != 0)
        return -1;
    while (next.count > 0 && next.events[next.count - 1].position > upto)
        next.count--;
    if (next.count == 0)
        return fail(err, ERR_INTERNAL, "the log has no event after position %lld", (long long)end->position);
    if (bus_publish(bus, arena, next.events, next.count, &last, err) == 0) {
        end->position = next.events[next.count - 1].position;
        memcpy(end->digest, next.events[next.count - 1].digest, SHA256_SIZE);
        atomic_store(&lane->published, end->position);
        return end->position >= upto;
    }
    /* Elsewhere than we thought: by another publisher, by the loss of its files, or by another history. learn tells. */
    atomic_store(&lane->published, UNKNOWN);
    bool absent = err->kind == ERR_ABSENT;
    if (!absent && (err->kind != ERR_CONFLICT || last != end->position))
        return err->kind == ERR_CONFLICT ? 0 : -1;
    /* Once may be a stream that is to be made anew, or a server that died in the midst of a batch. */
    if (atomic_exchange(&lane->refused, end->position) != end->position)
        return 0;
    err->kind = ERR_UNAVAILABLE;
    return absent
               ? -1
               : fail(err, ERR_UNAVAILABLE,
                      "bus: it takes nothing after %lld, where it ends: see the log of nats-server", (long long)last);
}

static void pause_for(long microseconds)
{
    const struct timespec span = {0, microseconds * 1000};
    nanosleep(&span, NULL);
}

static int64_t backlog(const struct lane *lane)
{
    return atomic_load(&lane->committed) - atomic_load(&lane->published);
}

/* Whether there is no more to do; batch: for one batch, and no longer. */
static int publish_some(struct bus *bus, struct sql *db, struct lane *lane, struct bus_end *end, struct arena *batch,
                        struct err *err)
{
    arena_reset(batch);
    int64_t upto = atomic_load(&lane->committed);
    int status = step(bus, db, lane, end, batch, upto, err);
    return status > 0 && atomic_load(&lane->committed) != upto ? 0 : status;
}

/* Publishes until the bus has what the pool has committed, or somebody else takes over. What is left of a long outage
 * is for the commands to come, a turn each, and for the tail: this worker has requests to answer. */
static int publish_all(struct bus *bus, struct sql *db, struct lane *lane, struct bus_end *end, struct err *err)
{
    int64_t began = clock_steady();
    struct arena *batch = arena_new(BATCH_LIMIT);
    int status = batch != NULL ? 0 : fail(err, ERR_UNAVAILABLE, "no memory to publish");
    bool leaves = false;
    for (int i = 0; i < STEPS && status == 0 && !leaves; i++) {
        status = publish_some(bus, db, lane, end, batch, err);
        if (status != 0)
            break;
        /* More was committed meanwhile, so the pool is busy: some more of it makes one batch of what would be many. */
        pause_for(GATHER_US);
        promise(lane, bus);
        if (clock_steady() - began > TURN_US) {
            atomic_store(&lane->tired, true);
            leaves = atomic_load(&lane->waiting) > 0 || backlog(lane) > SMALL;
        }
    }
    arena_free(&batch);
    return status < 0 ? -1 : 0;
}

/* A failure: what is known of the bus is in doubt, and everybody leaves it alone for a while. */
static void give_up(struct lane *lane)
{
    atomic_store(&lane->published, UNKNOWN);
    atomic_store(&lane->rest_until, clock_steady() + REST_US);
}

/* For a holder that sleeps, because it serves the lane and had nothing to do. */
static void wake(struct lane *lane)
{
    if (!atomic_exchange(&lane->sleeping, false))
        return;
    atomic_fetch_add(&lane->wake, 1);
    syscall(SYS_futex, &lane->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int publish_committed(struct bus *bus, struct sql *db, struct lane *lane, const struct envelope *events, size_t count,
                      struct err *err)
{
    if (count == 0)
        return 0;
    struct bus_end alone = {.position = UNKNOWN};
    int64_t position = events[count - 1].position;
    fault_point("before-publish");
    /* Over a new connection the database may be another, restored from an older copy. */
    if (sql_reconnected(db)) {
        atomic_store(&lane->committed, position);
        atomic_store(&lane->published, UNKNOWN);
    }
    raise_to(&lane->committed, position);
    int status = 0;
    /* Who commits between a holder's last look and its leaving finds the lane taken: so the holder looks once more. */
    do {
        enum entry entry = enter(lane, bus);
        if (entry == LEFT_TO_HOLDER) {
            wake(lane);
            return 0;
        }
        /* Somebody else may have published ours; or it is another event that is there, of another history. */
        if (entry == ENTERED && position <= atomic_load(&lane->published))
            atomic_store(&lane->published, UNKNOWN);
        if (resting(lane))
            status = 1; /* who made it rest has said why */
        else if (!bus_connected(bus))
            status = fail(err, ERR_UNAVAILABLE, "bus: not connected");
        else if ((status = publish_all(bus, db, lane, entry == ENTERED ? &lane->end : &alone, err)) < 0)
            give_up(lane);
        if (entry == ENTERED)
            pthread_mutex_unlock(&lane->lock);
    } while (status == 0 && backlog(lane) > 0 && backlog(lane) <= SMALL && atomic_load(&lane->waiting) == 0);
    return status < 0 ? -1 : 0;
}

static void sleep_until_woken(struct lane *lane)
{
    const struct timespec span = {0, SLEEP_US * 1000L};
    unsigned seen = atomic_load(&lane->wake);
    atomic_store(&lane->sleeping, true);
    /* Who raised it after our last look may not have seen that we sleep. */
    if (backlog(lane) <= 0)
        syscall(SYS_futex, &lane->wake, FUTEX_WAIT, seen, &span, NULL, 0);
    atomic_store(&lane->sleeping, false);
}

/* Over a new connection: all that is in the log by now, durable, is to be on the bus. */
static int look_at_log(struct sql *db, struct lane *lane, struct arena *arena, struct err *err)
{
    struct log_head head;
    if (eventlog_head(db, arena, &head, err) != 0 || eventlog_fence(db, err) != 0)
        return -1;
    sql_reconnected(db);
    atomic_store(&lane->committed, head.position);
    atomic_store(&lane->published, UNKNOWN);
    return 0;
}

/* What is committed at positions that the bus has already leaves nothing to do, though it is another history. */
static int check_history(struct sql *db, struct lane *lane, struct arena *arena, struct err *err)
{
    struct event_list none;
    if (clock_steady() < lane->next_check || atomic_load(&lane->published) != lane->end.position)
        return 0;
    lane->next_check = clock_steady() + CHECK_US;
    return bus_missing(db, arena, &lane->end, 0, &none, err);
}

/* One look, and what it finds to do: 0, or -1. */
static int serve_once(struct bus *bus, struct sql *db, struct lane *lane, struct arena *arena, struct err *err)
{
    arena_reset(arena);
    if (sql_reconnected(db) && look_at_log(db, lane, arena, err) != 0)
        return -1;
    if (atomic_load(&lane->published) != UNKNOWN && backlog(lane) <= 0) {
        sleep_until_woken(lane);
        return check_history(db, lane, arena, err);
    }
    int status = step(bus, db, lane, &lane->end, arena, atomic_load(&lane->committed), err);
    if (status > 0 && backlog(lane) > 0)
        pause_for(GATHER_SERVING_US);
    return status < 0 ? -1 : 0;
}

void lane_serve(struct lane *lane, struct bus *bus, struct sql *db, struct arena *arena, bool (*going)(void),
                void (*complain)(const struct err *err))
{
    struct err err;
    bool held = false;
    while (going() && !(held = take_over(lane, bus)))
        ;
    while (going()) {
        bus_watch(bus);
        atomic_store(&lane->due, clock_steady() + SLEEP_US + bus_patience(bus) + STUCK_US);
        if (!bus_connected(bus) || resting(lane)) {
            pause_for(PAUSE_US);
        } else if (serve_once(bus, db, lane, arena, &err) != 0) {
            give_up(lane);
            complain(&err);
        }
    }
    if (held)
        pthread_mutex_unlock(&lane->lock);
}

int publish_missing(struct bus *bus, struct sql *db, struct lane *lane, struct arena *arena, int64_t upto,
                    struct err *err)
{
    int status = step(bus, db, lane, &lane->end, arena, upto, err);
    if (status < 0)
        atomic_store(&lane->published, UNKNOWN);
    return status;
}
