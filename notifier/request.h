/*
 * The answering side of a client: from a request's head to a stream, or to one answer and the end.
 */
#ifndef COURANT_NOTIFIER_REQUEST_H
#define COURANT_NOTIFIER_REQUEST_H

#include "notifier/stream.h"

/* The last words to a stream whose session is over. */
#define REQUEST_EXPIRED "event: session-expired\ndata: {}\n\n"

/*
 * The head, whole. Leaves the stream streaming, or closing with text to send, or asking: then it is to be answered
 * again when its wish is granted, or with `overdue` when that takes too long. A temporary refusal is 200, retry and the
 * end: EventSource gives up for ever on any other status.
 */
void request_answer(struct stream *stream, const char *head, size_t len);

/* 400: the head is longer than HEAD_MOST. */
void request_refuse_size(struct stream *stream);

/* Milliseconds: at least so many, and up to spread more at random. */
unsigned request_retry(unsigned least, unsigned spread);

#endif
