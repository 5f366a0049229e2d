/*
 * Memory that lives as long as one request: allocate freely, release in one place.
 *
 * Lifecycle: arena_new, any number of arena_alloc, arena_reset (keeps the first block) or arena_free.
 * Invariant: an arena never holds more than its limit. The allocation that would pass it returns NULL and
 * marks the arena exhausted; the mark stays until arena_reset, so a caller may build a whole answer and ask once.
 */
#ifndef COURANT_BASE_ARENA_H
#define COURANT_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* A run of bytes that somebody else owns; not NUL-terminated unless its maker says so. */
struct str {
    const char *data;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

struct arena;

/* limit: bytes, over all blocks. Returns NULL when the system has no memory. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena **arena);
/* Both wipe what was in it, which may be secret. */
void arena_reset(struct arena *arena);

/* Zeroed memory, aligned for any object; NULL when the arena is exhausted. */
void *arena_alloc(struct arena *arena, size_t size);
bool arena_exhausted(const struct arena *arena);

/* A NUL-terminated copy; NULL when the arena is exhausted. */
char *arena_copy(struct arena *arena, const char *data, size_t len);
char *arena_copy_z(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct str str_of(const char *text);
bool str_is(struct str s, const char *text);

#endif
