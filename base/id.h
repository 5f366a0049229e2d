/*
 * Identifiers: UUIDs of version 7 (RFC 9562, section 5.7) in their 36-character text form, which sorts by time.
 */
#ifndef COURANT_BASE_ID_H
#define COURANT_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>

enum { ID_LEN = 36, ID_TEXT = ID_LEN + 1, TRACE_LEN = 32, SPAN_LEN = 16 };

/* A new identifier; those of one process rise (a counter in rand_a orders those of one millisecond). */
void id_new(char id[ID_TEXT]);

/* Whether text is a UUID in lower-case text form. */
bool id_valid(const char *text, size_t len);

#endif
