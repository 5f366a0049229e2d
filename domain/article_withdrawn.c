/*
 * Which articles are not for everybody: drafts, and what was unpublished or deleted. An article.created of something
 * that was public is so for ever in the log; the row says whether it is still to be shown.
 */
#include "domain/article.h"

#include <stdio.h>

enum { PAGE = 5000 };

/* Those of one status, by the index on (status, id), some at a time. */
static int add_all(struct sql *db, struct arena *arena, const char *status, bool (*add)(void *, const char *),
                   void *context, struct err *err)
{
    char after[ID_TEXT] = "", stream[ID_TEXT + 16];
    struct sql_rows rows;
    do {
        arena_reset(arena);
        if (sql_select(db, arena, "SELECT id FROM articles WHERE status = ? AND id > ? ORDER BY id LIMIT 5000",
                       SQL_ARGS(SQL_TEXT(status), SQL_TEXT(after)), &rows, err) != 0)
            return -1;
        for (size_t i = 0; i < rows.count; i++) {
            snprintf(stream, sizeof stream, "article-%.36s", SQL_CELL(&rows, i, 0).data);
            if (!add(context, stream))
                return fail(err, ERR_UNAVAILABLE, "no memory for what is withdrawn");
        }
        if (rows.count > 0)
            snprintf(after, sizeof after, "%.36s", SQL_CELL(&rows, rows.count - 1, 0).data);
    } while (rows.count == PAGE);
    arena_reset(arena);
    return 0;
}

int articles_withdrawn(struct sql *db, struct arena *arena, bool (*add)(void *context, const char *stream),
                       void *context, struct err *err)
{
    return add_all(db, arena, "draft", add, context, err) != 0 || add_all(db, arena, "deleted", add, context, err) != 0
               ? -1
               : 0;
}
