/*
 * The bus: the JetStream stream that holds the same events as the log, at the same sequence numbers (invariant 4).
 *
 * A connection is made in the background and made again for ever; while it is down every call fails at once with
 * ERR_UNAVAILABLE. A call waits at most nats.timeout_ms. Use one bus from one thread, and open it after fork.
 */
#ifndef COURANT_EVENTS_BUS_H
#define COURANT_EVENTS_BUS_H

#include "base/conf.h"
#include "events/event.h"

struct bus;

int bus_open(struct bus **bus, const struct conf *conf, struct err *err);
void bus_close(struct bus **bus);
/* Ends the client library's threads; once, at the end of a process, when every bus is closed. */
void bus_end(void);
/* To be called now and then by one process of several: a connection that is away for longer than a moment is said,
 * once, and when it is back. */
void bus_watch(struct bus *bus);

bool bus_connected(const struct bus *bus);
/* The longest that a call waits, in microseconds. */
int64_t bus_patience(const struct bus *bus);
/* Rises with every reconnection: a subscription from before it may have missed something. */
unsigned bus_epoch(const struct bus *bus);
/* True once after each reconnection: what was known of the stream may be no longer so. */
bool bus_reconnected(struct bus *bus);

/* The last sequence of the stream, which is made where there is none. */
int bus_last(struct bus *bus, int64_t *last, struct err *err);

/* The same without making one; ERR_ABSENT where there is none. first: the oldest that is still there. */
int bus_state(struct bus *bus, int64_t *first, int64_t *last, struct err *err);

/* Deletes the stream with all that is on it. None is no error. */
int bus_delete(struct bus *bus, struct err *err);

/* Waits until the connection is there. */
int bus_await(struct bus *bus, struct err *err);

/*
 * Publishes events of successive positions, each only if it comes next, and awaits the answer to the last.
 * *last: the bus's last sequence as the answer tells, or -1. 0 when all are on the bus; -1 with ERR_CONFLICT
 * when the bus is elsewhere (*last says where), ERR_ABSENT when no stream takes the subject, or ERR_UNAVAILABLE.
 */
int bus_publish(struct bus *bus, struct arena *arena, const struct envelope *events, size_t count, int64_t *last,
                struct err *err);

/* One message by its sequence, for verify; the event's texts are in the arena. */
int bus_get(struct bus *bus, struct arena *arena, int64_t sequence, struct envelope *event, struct err *err);

/*
 * The messages of `count` successive sequences from one on, or the first of them that are there by then and have no
 * more than so many bytes together; none is no error. events: room for them; their texts are in the arena. By a
 * consumer that lives as long as the call.
 */
int bus_read(struct bus *bus, struct arena *arena, int64_t from, size_t count, size_t bytes, struct envelope *events,
             size_t *got, struct err *err);

/* A live reading of the stream from a sequence on. */
struct bus_feed;
int bus_subscribe(struct bus *bus, int64_t from, struct bus_feed **feed, struct err *err);
/* Whether a message is there already, so that bus_next would not wait. */
bool bus_waiting(const struct bus_feed *feed);
void bus_unsubscribe(struct bus_feed **feed);

/*
 * The next message: 1 and the event, whose texts are in the arena and whose position is its sequence; 0 when none came
 * in time; -1 when the feed is of no more use.
 */
int bus_next(struct bus_feed *feed, struct arena *arena, int64_t timeout_us, struct envelope *event, struct err *err);

/*
 * Whether the next message is that of this event, byte for byte, without making an event of it: 1 it is; 0 none came in
 * time; -1 with ERR_MALFORMED when it is another.
 */
int bus_next_is(struct bus_feed *feed, struct arena *arena, int64_t timeout_us, const struct envelope *event,
                struct err *err);

#endif
