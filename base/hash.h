/*
 * FNV-1a of 64 bits, for tables in memory: quick, the same in each process, and no secret (base/crypt.h has what must
 * not be guessed). Its low bits alone are weak: fold the high ones in, or use those.
 */
#ifndef COURANT_BASE_HASH_H
#define COURANT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_bytes(const void *data, size_t len)
{
    const unsigned char *at = data;
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 1099511628211U;
    return hash;
}

/* Of a text up to its NUL. */
static inline uint64_t hash_text(const char *text)
{
    uint64_t hash = 14695981039346656037U;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    return hash;
}

#endif
