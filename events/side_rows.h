/*
 * Rows of a side (struct side in model.h): what a state says that they are, or what is in the table.
 */
#ifndef COURANT_EVENTS_SIDE_ROWS_H
#define COURANT_EVENTS_SIDE_ROWS_H

#include "base/arena.h"
#include "sql/db.h"

/* Begin with {.arena = …, .columns = …}. A cell's bytes are whose they were; all else lives in the arena. */
struct side_rows {
    struct arena *arena;
    size_t columns, count, room;
    struct str *cells; /* row after row; the first of a row is the id */
    bool failed;       /* the arena is exhausted */
};

/* One more row, of as many cells as there are columns. */
void side_rows_add(struct side_rows *rows, const struct str *cells);

/* All of what was found in the table. */
struct side_rows side_rows_of(struct arena *arena, const struct sql_rows *found);

/* In the order of their bytes, column by column. */
void side_rows_sort(struct side_rows *rows);

/*
 * Goes through two sorted lists from the places *i and *j on: past the next row that only one of them has, whose id it
 * returns; NULL where the rest of them is the same, byte for byte.
 */
const char *side_rows_difference(const struct side_rows *a, const struct side_rows *b, size_t *i, size_t *j);

#endif
