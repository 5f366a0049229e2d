/*
 * The one error object. A function that can fail returns 0 or -1 and fills a struct err with what failed, where
 * and why; its caller handles it or passes it up, and only who handles it logs it.
 */
#ifndef COURANT_BASE_ERR_H
#define COURANT_BASE_ERR_H

#include <stdbool.h>

enum err_kind {
    ERR_NONE,
    ERR_INTERNAL,    /* a fault of ours, or of a configuration */
    ERR_MALFORMED,   /* the request is not what its form demands (400) */
    ERR_INVALID,     /* well-formed, but not acceptable (422) */
    ERR_DENIED,      /* known, but not allowed (403) */
    ERR_ABSENT,      /* there is no such thing (404) */
    ERR_GONE,        /* there was such a thing (410) */
    ERR_CONFLICT,    /* the state moved, or the name is taken (409) */
    ERR_STALE,       /* the version that was named is not the current one (412) */
    ERR_UNNAMED,     /* no version was named where one is needed (428) */
    ERR_DAMAGED,     /* what is stored is not what was written (500) */
    ERR_TRANSIENT,   /* a deadlock or a lock wait: the same again may succeed */
    ERR_UNAVAILABLE, /* a server that we need is not there (503) */
    ERR_LENGTHY,     /* it takes longer than it may (503) */
    ERR_UNKNOWN,     /* a server went away in the midst: whether it was done is not known (503) */
};

struct err {
    enum err_kind kind;
    char text[320];
};

/* Fills err (NULL is allowed) and returns -1, so that `return fail(err, …)` reads well. The text names no secret. */
int fail(struct err *err, enum err_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts «prefix: » before the text and returns -1; the kind stays. */
int fail_within(struct err *err, const char *prefix);

#endif
