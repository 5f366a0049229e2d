/* Inserting many rows. See db.h. */
#include "base/buf.h"
#include "sql/internal.h"

/* Rows of one statement: so few sizes that all of them stay prepared. */
static const size_t SIZES[] = {64, 16, 4, 1};

static void add_places(struct buf *buf, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_puts(buf, i > 0 ? ",?" : "(?");
    buf_puts(buf, ")");
}

const char *sql_places(struct arena *arena, size_t count)
{
    struct buf buf;
    buf_init(&buf, arena);
    add_places(&buf, count);
    buf_add(&buf, "", 1);
    return buf.failed ? NULL : buf.data;
}

static const char *compose(struct arena *arena, const char *insert, size_t columns, size_t rows)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_puts(&buf, insert);
    for (size_t i = 0; i < rows; i++) {
        buf_puts(&buf, i > 0 ? ", " : " ");
        add_places(&buf, columns);
    }
    buf_add(&buf, "", 1);
    return buf.failed ? NULL : buf.data;
}

int sql_insert(struct sql *db, struct arena *arena, const char *insert, const struct sql_arg *values, size_t columns,
               size_t rows, struct err *err)
{
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        if (rows < SIZES[i] || columns * SIZES[i] > SQL_PLACES_MOST)
            continue;
        const char *text = compose(arena, insert, columns, SIZES[i]);
        if (text == NULL)
            return fail(err, ERR_INTERNAL, "no room for a statement");
        for (; rows >= SIZES[i]; rows -= SIZES[i], values += columns * SIZES[i])
            if (sql_exec(db, text, values, columns * SIZES[i], NULL, err) != 0)
                return -1;
    }
    return 0;
}
