/*
 * One client: a connection that sends a request's head and, when that asks for a stream, reads events for ever.
 *
 * A stream is a cursor. What its client has not read yet is not queued but stays where it is: in the ring of the loop,
 * or, for a cursor that the ring has left behind, on the bus or in the log. So a client that reads slowly costs no more
 * memory than a fast one: it goes from live to catch-up by itself, and back.
 *
 *      text        control text (head, heartbeat), being sent
 *      partial     a record of which `sent` bytes are out; the cursor is on it
 *      chunk       while it is pumped: records of the history, behind the cursor
 *      hub         the rest
 */
#ifndef COURANT_NOTIFIER_STREAM_H
#define COURANT_NOTIFIER_STREAM_H

#include "base/address.h"
#include "notifier/history.h"
#include "notifier/topics.h"

#include <event2/event.h>
#include <event2/event_struct.h>

enum { HEAD_MOST = 16384 };

struct stream {
    struct stream *next, *previous; /* in the loop's list */
    struct loop *loop;
    int fd;
    struct event readable, writable;
    bool status; /* came in by the address for status */
    bool streaming, closing;
    bool blocked;  /* waits until it can write */
    bool asking;   /* its request waits for an answer to its wish */
    bool counted;  /* has a place */
    bool behind;   /* its cursor has left the ring */
    bool overdue;  /* what it asked for does not come */
    int64_t since; /* clock_steady: when it was accepted, or last written to */
    int64_t ends;  /* clock_steady: when its time is over */
    struct address address;

    char *input; /* what has come of the request's head, or all of it while it waits; NULL: nothing */
    size_t input_len, input_room;
    char *text; /* control text or an answer; owned */
    size_t text_len, text_sent;

    struct identity *identity; /* NULL: nobody */
    struct topic *topics;      /* NULL: TOPICS_STANDARD */
    size_t topic_count;
    int64_t head; /* of the log, when it was asked; -1: it was not */
    int64_t cursor;
    struct record *partial;
    size_t sent;
    struct wish *wish;
    const struct wish *ready; /* the answer to /readyz, while that is sent */
    struct wish *check;       /* whether its session goes on; apart, for events do not wait for it */
    int64_t next_check;       /* clock_steady */
};

/* status: for /readyz and such. Takes the descriptor over; false when there is no memory, and it is closed. */
bool stream_new(struct loop *loop, int fd, const struct address *address, bool status);
/* Closes the connection and forgets the client. */
void stream_end(struct stream *stream);

/* Who reads: ANONYMOUS or whom its token stands for. */
const struct actor *stream_reader(const struct stream *stream);

/* Sends what there is, as far as the socket takes it; asks for what is not in memory. May end the stream. */
void stream_pump(struct stream *stream);

/* Appends control text to what the client has yet to read of it. False when there is no memory. */
bool stream_say(struct stream *stream, const char *text, size_t len);

/* The last words to a client, and the end of its connection when it has them. */
void stream_dismiss(struct stream *stream, const char *text);
/* The same: it is to come back in a while, chosen at random from 1 s to 1 s + spread_ms. */
void stream_send_away(struct stream *stream, unsigned spread_ms);

/* Its wish has come back. */
void stream_granted(struct stream *stream, struct wish *wish);

/* What is due once a second: a heartbeat, its end, another try. May end the stream. */
void stream_tick(struct stream *stream);

#endif
