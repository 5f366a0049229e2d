/*
 * Strict JSON (RFC 8259) from outside. json-c builds the tree; because it lets pass what the RFC does not (control
 * characters, lone surrogates, odd numbers), every text goes through json_check first.
 */
#ifndef COURANT_BASE_JSON_H
#define COURANT_BASE_JSON_H

#include "base/arena.h"
#include "base/err.h"

#include <json-c/json.h>
#include <stdint.h>

enum { JSON_DEPTH = 32 };

/*
 * Whether text is one JSON value and nothing after it but white space: valid UTF-8, no lone surrogate, no U+0000 in a
 * member name, no name twice in the same object's first 64 (json_read: in any), at most JSON_DEPTH levels. On a fault,
 * err says what and at which byte.
 */
int json_check(const char *text, size_t len, struct err *err);

/* json_check, then the tree; the caller releases it with json_object_put. NULL on a fault (ERR_MALFORMED). */
struct json_object *json_read(const char *text, size_t len, struct err *err);

/*
 * The bytes of one member's value, as they stand in the text of an object that json_check has accepted; {NULL, 0}
 * where it has none. name is compared with the raw characters, so it must be one that needs no escape.
 */
struct str json_member(struct str object, const char *name);

/*
 * The same for several members at once, in one pass: values[i] is that of names[i].
 */
void json_members(struct str object, const char *const *names, struct str *values, size_t count);

/* The text of a string's raw bytes, as json_members gives them, unescaped in the arena; {NULL, 0} for no string. */
struct str json_text(struct arena *arena, struct str raw);
/* A whole number of at most 18 digits, without leading zeros, from its raw bytes; -1 for anything else. */
int64_t json_whole(struct str raw);
/* A moment from the raw bytes of a string; INT64_MIN for null and for what is no time. */
int64_t json_moment(struct str raw);

/* The string of a member, or {NULL, 0} where it is missing or no string. Lives as long as the object. */
struct str json_string(struct json_object *object, const char *name);

/* Code points in valid UTF-8. */
size_t utf8_length(const char *text, size_t len);
bool utf8_valid(const char *text, size_t len);

#endif
