/*
 * A growing run of bytes in an arena, for building answers.
 *
 *      data                     len            cap
 *      |  what was added        |  room left   |
 *
 * Invariant: len <= cap. After the first addition that the arena refuses, failed is set, later additions do
 * nothing and buf_str gives the empty string: look at failed (or arena_exhausted) once, at the end.
 */
#ifndef COURANT_BASE_BUF_H
#define COURANT_BASE_BUF_H

#include "base/arena.h"

#include <stdint.h>

struct buf {
    struct arena *arena;
    char *data;
    size_t len, cap;
    bool failed;
};

void buf_init(struct buf *buf, struct arena *arena);
/* Room for so much more at once, where its size is known before: without it the arena keeps what was outgrown. */
void buf_room(struct buf *buf, size_t more);
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes (RFC 8259, section 7); data is UTF-8. */
void buf_json(struct buf *buf, const char *data, size_t len);
void buf_json_z(struct buf *buf, const char *text);

/* A moment as a JSON string, INT64_MIN as null. */
void buf_moment(struct buf *buf, int64_t moment);
/* «a b» as ["a","b"]. */
void buf_words(struct buf *buf, const char *words);

struct str buf_str(const struct buf *buf);

#endif
