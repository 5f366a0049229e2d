/* Bump allocation in blocks. See arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 64 * 1024, ALIGNMENT = 16 };

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

struct arena {
    struct block *first, *current;
    size_t limit, held;
    bool exhausted;
};

static struct block *block_new(size_t size)
{
    struct block *block = malloc(sizeof *block + size);
    if (block != NULL) {
        block->next = NULL;
        block->used = 0;
        block->size = size;
    }
    return block;
}

struct arena *arena_new(size_t limit)
{
    struct arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL)
        return NULL;
    arena->first = arena->current = block_new(FIRST_BLOCK);
    if (arena->first == NULL) {
        free(arena);
        return NULL;
    }
    arena->limit = limit;
    arena->held = FIRST_BLOCK;
    return arena;
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        explicit_bzero(block->bytes, block->used);
        free(block);
        block = next;
    }
}

void arena_free(struct arena **arena)
{
    if (*arena == NULL)
        return;
    free_blocks((*arena)->first);
    free(*arena);
    *arena = NULL;
}

void arena_reset(struct arena *arena)
{
    free_blocks(arena->first->next);
    arena->first->next = NULL;
    explicit_bzero(arena->first->bytes, arena->first->used);
    arena->first->used = 0;
    arena->current = arena->first;
    arena->held = FIRST_BLOCK;
    arena->exhausted = false;
}

static struct block *grow(struct arena *arena, size_t size)
{
    size_t want = arena->current->size * 2;
    if (want > 1024 * 1024)
        want = 1024 * 1024;
    if (want < size)
        want = size;
    if (want > arena->limit - arena->held)
        want = size;
    if (want > arena->limit - arena->held)
        return NULL;
    struct block *block = block_new(want);
    if (block != NULL) {
        arena->held += want;
        arena->current->next = block;
        arena->current = block;
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct block *block = arena->current;
    if (size > arena->limit) {
        arena->exhausted = true;
        return NULL;
    }
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (block->size - block->used < size && (block = grow(arena, size)) == NULL) {
        arena->exhausted = true;
        return NULL;
    }
    void *memory = block->bytes + block->used;
    block->used += size;
    return memset(memory, 0, size);
}

bool arena_exhausted(const struct arena *arena)
{
    return arena->exhausted;
}

char *arena_copy(struct arena *arena, const char *data, size_t len)
{
    char *copy = len < SIZE_MAX ? arena_alloc(arena, len + 1) : NULL;
    if (copy != NULL && len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *arena_copy_z(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = len >= 0 ? arena_alloc(arena, (size_t)len + 1) : NULL;
    if (text != NULL)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

struct str str_of(const char *text)
{
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

bool str_is(struct str s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}
