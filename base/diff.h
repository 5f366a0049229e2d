/*
 * What differs between two texts, as a unified diff with three lines around each change. By libgit2.
 */
#ifndef COURANT_BASE_DIFF_H
#define COURANT_BASE_DIFF_H

#include "base/arena.h"
#include "base/err.h"

/*
 * Names without blanks, of the texts before and after. The diff is empty where they are the same. One thread of a
 * process may call it: the first call starts libgit2.
 */
int diff_unified(struct arena *arena, const char *name_before, struct str before, const char *name_after,
                 struct str after, struct str *diff, struct err *err);

#endif
