/* See side_rows.h. */
#include "events/side_rows.h"

#include <stdlib.h>
#include <string.h>

void side_rows_add(struct side_rows *rows, const struct str *cells)
{
    size_t row = rows->columns * sizeof *cells;
    if (rows->failed)
        return;
    if (rows->count == rows->room) {
        size_t room = rows->room > 0 ? 2 * rows->room : 8;
        struct str *wide = arena_alloc(rows->arena, room * row);
        rows->failed = wide == NULL;
        if (rows->failed)
            return;
        if (rows->count > 0)
            memcpy(wide, rows->cells, rows->count * row);
        rows->cells = wide;
        rows->room = room;
    }
    memcpy(rows->cells + rows->columns * rows->count++, cells, row);
}

struct side_rows side_rows_of(struct arena *arena, const struct sql_rows *found)
{
    return (struct side_rows){
        .arena = arena, .columns = found->columns, .count = found->count, .room = found->count, .cells = found->cells};
}

static int compare_rows(const void *a, const void *b, void *columns)
{
    const struct str *x = a, *y = b;
    for (size_t i = 0; i < *(const size_t *)columns; i++) {
        size_t shorter = x[i].len < y[i].len ? x[i].len : y[i].len;
        int order = shorter > 0 ? memcmp(x[i].data, y[i].data, shorter) : 0;
        if (order != 0 || x[i].len != y[i].len)
            return order != 0 ? order : x[i].len < y[i].len ? -1 : 1;
    }
    return 0;
}

void side_rows_sort(struct side_rows *rows)
{
    if (rows->count > 1)
        qsort_r(rows->cells, rows->count, rows->columns * sizeof *rows->cells, compare_rows, &rows->columns);
}

const char *side_rows_difference(const struct side_rows *a, const struct side_rows *b, size_t *i, size_t *j)
{
    size_t columns = a->columns;
    while (*i < a->count || *j < b->count) {
        const struct str *x = a->cells + columns * *i, *y = b->cells + columns * *j;
        int order = *i == a->count ? 1 : *j == b->count ? -1 : compare_rows(x, y, &columns);
        *i += order <= 0;
        *j += order >= 0;
        if (order != 0)
            return order < 0 ? x->data : y->data;
    }
    return NULL;
}
