/*
 * The answering side of a client: from a request's head to a stream, or to one answer and the end.
 */
#ifndef COURANT_NOTIFIER_REQUEST_H
#define COURANT_NOTIFIER_REQUEST_H

#include "notifier/stream.h"

/* The head, whole, is in stream->input. Leaves the stream streaming or closing, with text to send. */
void request_answer(struct stream *stream, size_t head_len);

/* 400: the head is longer than HEAD_MOST. */
void request_refuse_size(struct stream *stream);

#endif
