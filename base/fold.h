/*
 * Names that the database takes for the same. Its collation (utf8mb4_unicode_520_ci) sees no difference in case, in
 * accents, in what has no width or in spaces at the end: «Ádmin » is «admin». By ICU, whose tables are as far.
 */
#ifndef COURANT_BASE_FOLD_H
#define COURANT_BASE_FOLD_H

#include "base/arena.h"
#include "base/err.h"

/* Loads ICU's tables, once; a parent does it before it forks. */
int fold_start(struct err *err);
void fold_end(void);

/*
 * Bytes that are the same for all names that the database takes for one. Some that it tells apart have the same, too.
 * In the arena; {NULL, 0} when that is exhausted, or ICU cannot do it.
 */
struct str fold_of(struct arena *arena, struct str name);

#endif
