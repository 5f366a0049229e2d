/*
 * One client: a connection that sends a request's head and, when that asks for a stream, reads events for ever.
 *
 * A stream is a cursor. What its client has not read yet is not queued but stays where it is: in the hub, or, for a
 * cursor that the hub has left behind, in the log. So a client that reads slowly costs no more memory than a fast one:
 * it goes from live to catch-up by itself, and back.
 *
 *      text        control text (head, heartbeat), being sent
 *      partial     a record of which `sent` bytes are out; the cursor is on it
 *      batch       records from the log, behind the cursor
 *      hub         the rest
 */
#ifndef COURANT_NOTIFIER_STREAM_H
#define COURANT_NOTIFIER_STREAM_H

#include "http/response.h"
#include "notifier/source.h"

#include <event2/event.h>
#include <event2/event_struct.h>

enum { TEXT_ROOM = 512, HEAD_MOST = 16384 };

enum topic { TOPIC_ARTICLES, TOPIC_ALL };

struct stream {
    struct stream *next, *previous; /* in the server's list */
    struct server *server;
    int fd;
    struct event readable, writable;
    bool streaming, closing, blocked;
    int64_t since;     /* clock_steady: when it was accepted, or last written to */
    int64_t heartbeat; /* the position that its client knows of */

    char *input; /* the request's head; NULL once it is read */
    size_t input_len;
    char *text; /* control text or an answer; owned */
    size_t text_len, text_sent;

    bool asking; /* who its token stands for; its head waits */
    size_t head; /* the length of the head */
    struct identity identity;
    enum topic topic;
    int64_t cursor;
    struct record *partial;
    size_t sent;
    struct records batch;
    size_t batch_at;
    struct wish *wish;
};

/* Sends what there is, as far as the socket takes it; asks for what is not in memory. May end the stream. */
void stream_pump(struct stream *stream);

/* Appends control text, unless the client has yet to read what was said before. False when there is no memory. */
bool stream_say(struct stream *stream, const char *text, size_t len);

/* What the history has found; takes the records over. */
void stream_granted(struct stream *stream, struct wish *wish);

#endif
