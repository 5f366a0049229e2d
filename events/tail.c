/*
 * The tail. See tail.h.
 *
 * Two states: with a feed (live) and without (polling). A feed is taken up only when the log was read to its end and
 * the bus holds all of that; since the feed begins at cursor + 1, whatever is committed meanwhile comes through it. A
 * feed is given up when it breaks, when the connection was made again (a server that restarted has forgotten it), and
 * when after a second of quiet the log holds what the feed did not bring.
 */
#include "events/tail.h"

#include "base/clock.h"
#include "base/log.h"
#include "events/align.h"
#include "events/bus.h"
#include "events/publisher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    POLL_US = 20000,
    QUIET_US = 1000000,
    FEED_RETRY_US = 500000,
    TROUBLE_US = 200000,
    COMPLAIN_US = 10000000,
    CHUNK = 100,
};

struct tail {
    const struct model *model;
    struct sql *db;
    struct bus *bus;
    struct lane *lane;
    struct bus_feed *feed;
    unsigned epoch; /* of the bus connection that the feed belongs to */
    int64_t cursor;
    bool known; /* the event at the cursor, by this digest */
    unsigned char digest[SHA256_SIZE];
    bool lost;
    int64_t quiet_since, next_feed, next_complaint; /* clock_steady */
};

int tail_open(struct tail **tail, const struct conf *conf, const struct model *model, int64_t after, struct err *err)
{
    struct tail *t = *tail = calloc(1, sizeof *t);
    struct arena *arena = arena_new(65536);
    struct log_head head = {0};
    if (t == NULL || arena == NULL || (t->lane = lane_new(false)) == NULL) {
        fail(err, ERR_UNAVAILABLE, "tail: no memory");
    } else if (sql_open(&t->db, conf, err) == 0 && eventlog_head(t->db, arena, &head, err) == 0 &&
               eventlog_fence(t->db, err) == 0 && bus_open(&t->bus, conf, err) == 0) {
        t->model = model;
        t->cursor = after == TAIL_FROM_NOW ? head.position : after;
        t->quiet_since = clock_steady();
        arena_free(&arena);
        return 0;
    }
    arena_free(&arena);
    tail_close(tail);
    return -1;
}

void tail_close(struct tail **tail)
{
    if (*tail == NULL)
        return;
    bus_unsubscribe(&(*tail)->feed);
    bus_close(&(*tail)->bus);
    sql_close(&(*tail)->db);
    lane_free(&(*tail)->lane);
    free(*tail);
    *tail = NULL;
}

int64_t tail_position(const struct tail *tail)
{
    return tail->cursor;
}

bool tail_live(const struct tail *tail)
{
    return tail->feed != NULL;
}

bool tail_lost(const struct tail *tail)
{
    return tail->lost;
}

static void sleep_us(int64_t span)
{
    if (span <= 0)
        return;
    struct timespec time = {span / 1000000, (long)(span % 1000000) * 1000};
    nanosleep(&time, NULL);
}

/* What another history is mixed into is worse than what is away for a while. */
static void complain(struct tail *tail, const struct err *err)
{
    int64_t now = clock_steady();
    if (now < tail->next_complaint)
        return;
    if (err->kind == ERR_CONFLICT)
        log_error("tail at position %" PRId64 ": %s", tail->cursor, err->text);
    else
        log_warning("tail at position %" PRId64 ": %s", tail->cursor, err->text);
    tail->next_complaint = now + COMPLAIN_US;
}

static void remember(struct tail *tail, const struct envelope *event)
{
    memcpy(tail->digest, event->digest, SHA256_SIZE);
    tail->known = true;
}

/*
 * The list begins with the event at the cursor: takes it off. False: the log has another one there, or ends before, so
 * it is another log, and whoever follows must begin anew.
 */
static bool same_history(struct tail *tail, struct event_list *list, struct err *err)
{
    if (list->count > 0 && (!tail->known || memcmp(list->events[0].digest, tail->digest, SHA256_SIZE) == 0)) {
        remember(tail, &list->events[0]);
        list->events++;
        list->count--;
        return true;
    }
    tail->lost = true;
    fail(err, ERR_CONFLICT, "the log %s what was handed out: was the database restored from an old copy?",
         list->count > 0 ? "holds another event than" : "ends before");
    return false;
}

/*
 * Events of the log after the cursor, made durable before anybody sees them; the one at the cursor is read with them,
 * and is to be the one that was handed out. False: the database cannot say, or it is another log.
 */
static bool read_log(struct tail *tail, struct arena *arena, struct event_list *list)
{
    struct err err;
    int64_t seen = tail->cursor > 0 ? 1 : 0;
    if (eventlog_read(tail->db, arena, tail->cursor - seen, CHUNK + (size_t)seen, list, &err) == 0 &&
        (seen == 0 || same_history(tail, list, &err)) && (list->count == 0 || eventlog_fence(tail->db, &err) == 0))
        return true;
    *list = (struct event_list){0};
    complain(tail, &err);
    return false;
}

static void drop_feed(struct tail *tail)
{
    bus_unsubscribe(&tail->feed);
    tail->next_feed = 0;
}

/*
 * The log was read up to a position, its end a moment ago: brings the bus there, one step at a time, then subscribes
 * behind it. True when that was a step forward, so that the next may follow at once.
 */
static bool take_feed(struct tail *tail, struct arena *arena, int64_t position)
{
    struct err err = {0};
    struct bus_end end;
    unsigned epoch = bus_epoch(tail->bus);
    tail->next_feed = clock_steady() + FEED_RETRY_US;
    int status = bus_align(tail->bus, tail->db, arena, &end, &err);
    if (status == 0 && end.position < position) {
        status = publish_missing(tail->bus, tail->db, tail->lane, arena, position, &err);
        if (status >= 0)
            tail->next_feed = 0;
    } else if (status == 0) {
        status = bus_subscribe(tail->bus, position + 1, &tail->feed, &err);
        tail->epoch = epoch;
        tail->quiet_since = clock_steady();
    }
    if (status < 0)
        complain(tail, &err);
    return status >= 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/*
 * Without a feed: what the log has, and where that was all of it, a step towards a feed; a pause where there is
 * neither. It must not wait for silence: a busy log would keep it polling for ever.
 */
static void poll_log(struct tail *tail, struct arena *arena, int64_t until, struct event_list *list)
{
    bool readable = read_log(tail, arena, list);
    bool due = readable && !list->more && bus_connected(tail->bus) && clock_steady() >= tail->next_feed;
    bool stepped = due && take_feed(tail, arena, tail->cursor + (int64_t)list->count);
    if (list->count == 0 && !stepped)
        sleep_us(earlier(readable ? POLL_US : TROUBLE_US, until - clock_steady()));
}

/* The second of quiet is over: the log may hold what the feed did not bring. */
static void look_behind(struct tail *tail, struct arena *arena, struct event_list *list)
{
    tail->quiet_since = clock_steady();
    if (read_log(tail, arena, list) && list->count > 0)
        drop_feed(tail);
}

/* One message of the feed behind those in the list: 1 taken or not of use, 0 none in time, -1 the list ends here. */
static int take_message(struct tail *tail, struct arena *arena, int64_t wait, struct event_list *list)
{
    struct err err;
    struct envelope *event = &list->events[list->count];
    int got = bus_next(tail->feed, arena, wait, event, &err);
    if (got < 0) {
        complain(tail, &err);
        drop_feed(tail);
        tail->next_feed = clock_steady() + FEED_RETRY_US;
        return -1;
    }
    if (got == 0)
        return 0;
    tail->quiet_since = clock_steady();
    int64_t next = tail->cursor + 1 + (int64_t)list->count;
    if (event->position == next)
        list->count++;
    else if (event->position > next && list->count == 0)
        read_log(tail, arena, list);
    else if (event->position > next)
        return -1;
    return 1;
}

static bool is_full(const struct event_list *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        bytes += list->events[i].data.len + list->events[i].metadata.len;
    return list->count == CHUNK || bytes > EVENTS_BYTES;
}

/* With a feed: what it has by now, or after a second of quiet a look at the log. */
static void read_feed(struct tail *tail, struct arena *arena, int64_t until, struct event_list *list)
{
    int64_t wait = earlier(until, tail->quiet_since + QUIET_US) - clock_steady();
    list->events = arena_alloc(arena, CHUNK * sizeof *list->events);
    if (list->events == NULL) {
        log_error("tail: no room for events");
        return;
    }
    struct envelope *room = list->events;
    int got = take_message(tail, arena, earlier(wait, POLL_US), list);
    while (got > 0 && tail->feed != NULL && list->events == room && !is_full(list) && bus_waiting(tail->feed))
        got = take_message(tail, arena, 0, list);
    if (got == 0 && list->count == 0 && clock_steady() - tail->quiet_since >= QUIET_US)
        look_behind(tail, arena, list);
}

/* What cannot be brought to today's form, because a newer Courant wrote it, goes out as it is. */
static void upcast(struct tail *tail, struct arena *arena, struct event_list *list)
{
    struct err err;
    for (size_t i = 0; tail->model != NULL && i < list->count; i++)
        if (model_upcast(tail->model, &list->events[i], arena, &err) != 0)
            complain(tail, &err);
}

void tail_next(struct tail *tail, struct arena *arena, int64_t timeout_us, struct event_list *list)
{
    int64_t until = clock_steady() + timeout_us;
    *list = (struct event_list){0};
    do {
        bus_watch(tail->bus);
        if (tail->feed != NULL && (!bus_connected(tail->bus) || bus_epoch(tail->bus) != tail->epoch))
            drop_feed(tail);
        if (tail->feed != NULL)
            read_feed(tail, arena, until, list);
        else
            poll_log(tail, arena, until, list);
    } while (list->count == 0 && !tail->lost && clock_steady() < until);
    if (list->count > 0) {
        tail->cursor = list->events[list->count - 1].position;
        remember(tail, &list->events[list->count - 1]);
    }
    upcast(tail, arena, list);
}
