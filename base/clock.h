/*
 * Time. A moment is an int64_t of microseconds since 1970-01-01T00:00:00Z; a span too is microseconds.
 */
#ifndef COURANT_BASE_CLOCK_H
#define COURANT_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

enum { CLOCK_TEXT = 28 }; /* room for the longest text below, with its NUL */

int64_t clock_now(void);

/* Microseconds of a clock that never steps; only differences mean something. */
int64_t clock_steady(void);

/* «2026-01-31T12:00:00.000001Z» (RFC 3339) */
void clock_rfc3339(int64_t moment, char text[CLOCK_TEXT]);

/* «2026-01-31 12:00:00.000001», as DATETIME(6) takes and gives it. */
void clock_sql(int64_t moment, char text[CLOCK_TEXT]);

/* Reads either form, with up to six decimals or none; returns INT64_MIN where the text is neither. */
int64_t clock_parse(const char *text, size_t len);

/*
 * Reads any time of RFC 3339 (section 5.6) as a client may write it: of any zone, with any number of decimals, of which
 * those past the sixth are cut off. INT64_MIN for what is none, and for a leap second.
 */
int64_t clock_parse_any(const char *text, size_t len);

#endif
