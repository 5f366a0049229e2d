/*
 * The head of an HTTP/1.1 request (RFC 9112), for the program that speaks it itself. The text is cut up in place.
 */
#ifndef COURANT_HTTP_HEAD_H
#define COURANT_HTTP_HEAD_H

#include "base/err.h"

#include <stddef.h>

enum { HEAD_FIELDS = 64 };

struct http_head {
    const char *method, *target;
    size_t count;
    struct {
        const char *name, *value; /* the name in lower case */
    } fields[HEAD_FIELDS];
};

/*
 * How many bytes the head takes with its empty line; 0 when it is not complete yet.
 */
size_t http_head_length(const char *text, size_t len);

/* Reads a complete head; text[len - 1] is its last line feed. ERR_MALFORMED where it is not one. */
int http_head_parse(struct http_head *head, char *text, size_t len, struct err *err);

/* As struct http_request wants it; source is a struct http_head. Of a name that is there twice, the first. */
const char *http_head_field(const void *source, const char *name);

#endif
