/*
 * The article that every figure of writing is about, so that the yardstick, the commands and POST send the same rows:
 * some 900 bytes of prose of a language of 4,000 words, in a few paragraphs, with a lead and a tag, published at once.
 * bench/post.lua makes the same for wrk.
 */
#ifndef COURANT_BENCH_ARTICLE_H
#define COURANT_BENCH_ARTICLE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BENCH_CONTENT = 900 };

/* A generator of numbers (Knuth's MMIX): the same ones for the same seed. */
static inline uint32_t bench_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Prose of BENCH_CONTENT bytes, with a NUL behind it. \n is written as JSON does: it may stand in a JSON string. */
static inline void bench_prose(uint64_t *state, char text[BENCH_CONTENT + 1])
{
    static const char *const syllables[] = {"ka", "lo", "ri",  "ten", "mu", "sa", "vor", "nei",
                                            "di", "pe", "gra", "shi", "el", "tu", "bo",  "ness"};
    size_t at = 0;
    while (at + 20 < BENCH_CONTENT) {
        uint32_t r = bench_random(state);
        at += (size_t)snprintf(text + at, BENCH_CONTENT + 1 - at, "%s%s%s%s", syllables[r & 15], syllables[r >> 4 & 15],
                               syllables[r >> 8 & 15], r >> 12 & 15 ? " " : ".\\n\\n");
    }
    memset(text + at, '.', BENCH_CONTENT - at);
    text[BENCH_CONTENT] = '\0';
}

#endif
