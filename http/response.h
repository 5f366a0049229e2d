/*
 * An answer: a status, headers and a body, all in the request's arena. Whoever writes it to a socket adds the framing.
 */
#ifndef COURANT_HTTP_RESPONSE_H
#define COURANT_HTTP_RESPONSE_H

#include "base/buf.h"
#include "events/schema.h"
#include "http/request.h"

#include <stdint.h>

struct http_response {
    int status;
    struct buf headers; /* «Name: value\r\n» lines, without the status */
    struct str body;
    int64_t position; /* of the log, that the answer reflects; -1: http_finish says none */
};

void http_response_init(struct http_response *response, struct arena *arena);

/* Adds a header. A value with a control character in it is left out: it would begin another header. */
void http_add_header(struct http_response *response, const char *name, const char *value);
void http_add_header_number(struct http_response *response, const char *name, int64_t value);

/* A JSON body and its type. */
void http_send_json(struct http_response *response, int status, struct str body);

/* Problem details (RFC 9457) instead of whatever was there. faults may be NULL. */
void http_send_problem(struct http_response *response, const struct http_request *request, int status,
                       const char *detail, const struct faults *faults);

/* The problem that an error is for the client: ours and the servers' say nothing of what happened, and are logged. */
void http_send_error(struct http_response *response, const struct http_request *request, const struct err *err,
                     const struct faults *faults);

const char *http_reason(int status);

#endif
