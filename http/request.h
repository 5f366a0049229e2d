/*
 * A request, as both programs see it: a method, a target, headers, a body. No socket and no FastCGI here.
 *
 * The target is the raw one that the browser sent (REQUEST_URI); what the web server makes of it differs from one to
 * the next. It is split at «/» first and each segment is percent-decoded once, so %2F never makes a new segment.
 */
#ifndef COURANT_HTTP_REQUEST_H
#define COURANT_HTTP_REQUEST_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"

enum { SEGMENTS = 12, TARGET_MOST = 4096 };

struct http_request {
    const char *method; /* «GET» */
    const char *target; /* «/api/articles?limit=5» */
    struct str body;
    bool secure;      /* came over https */
    const char *peer; /* the address that the web server says; NULL: none */
    /* The value of a header by its lower-case name, NULL where it is missing. */
    const char *(*header)(const void *source, const char *name);
    const void *header_source;
    struct arena *arena;

    /* Set by http_request_parse. */
    struct str segments[SEGMENTS];
    size_t segment_count;
    const char *query; /* raw, after the «?»; "" where there is none */
    char trace_id[TRACE_LEN + 1];
};

/* Splits and decodes the target and takes up traceparent (or makes a trace). ERR_MALFORMED on a bad target. */
int http_request_parse(struct http_request *request, struct err *err);

const char *http_header(const struct http_request *request, const char *name);

/* A query parameter, decoded, in the arena; NULL where it is missing, "%" where it cannot be decoded. The first counts.
 */
const char *http_query(const struct http_request *request, const char *name);
/* The same of one that may be there several times: which, from 0 on. */
const char *http_query_nth(const struct http_request *request, const char *name, size_t which);

/* Percent-decoding (RFC 3986). {NULL, 0} for a bad escape, a NUL, or what is no UTF-8. */
struct str http_decode(struct arena *arena, const char *text, size_t len, bool plus_is_space);

/* The value of a cookie (RFC 6265), in the arena; NULL where it is missing. */
const char *http_cookie(const struct http_request *request, const char *name);

#endif
