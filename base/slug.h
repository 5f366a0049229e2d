/*
 * Slugs: the readable part of an address, from a title in any script. By ICU.
 */
#ifndef COURANT_BASE_SLUG_H
#define COURANT_BASE_SLUG_H

#include "base/arena.h"
#include "base/err.h"

enum { SLUG_MOST = 80 };

/*
 * Loads ICU's tables, once; a parent does it before it forks, so that its children share them. ERR_INTERNAL where ICU
 * is installed without them.
 */
int slug_start(struct err *err);
void slug_end(void);

/*
 * Lower-case ASCII letters, digits and single hyphens, at most SLUG_MOST of them, cut between words where that can be:
 * «Привет, мир!» is «privet-mir». Empty for a title without a letter or digit. Pure. {NULL, 0} when the arena is
 * exhausted.
 */
struct str slug_of(struct arena *arena, struct str title);

#endif
