/* Inserting many rows. See db.h. */
#include "base/buf.h"
#include "sql/internal.h"

/* Rows of one statement: so few sizes that all of them stay prepared. The server takes messages of 16 MB. */
enum { SIZES_COUNT = 4, MESSAGE_BYTES = 4 * 1024 * 1024 };
static const size_t SIZES[SIZES_COUNT] = {64, 16, 4, 1};

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

static bool fits(const struct sql_arg *values, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count && bytes <= MESSAGE_BYTES; i++)
        bytes += values[i].bytes.len;
    return count <= SQL_PLACES_MOST && bytes <= MESSAGE_BYTES;
}

int sql_insert(struct sql *db, struct arena *arena, const char *insert, const struct sql_arg *values, size_t columns,
               size_t rows, struct err *err)
{
    const char *texts[SIZES_COUNT] = {NULL};
    for (size_t size; rows > 0; rows -= size, values += columns * size) {
        size_t i = 0;
        while (SIZES[i] > 1 && (SIZES[i] > rows || !fits(values, columns * SIZES[i])))
            i++;
        size = SIZES[i];
        if (texts[i] == NULL)
            texts[i] = compose(arena, insert, columns, size);
        if (texts[i] == NULL)
            return fail(err, ERR_INTERNAL, "no room for a statement");
        if (sql_exec(db, texts[i], values, columns * size, NULL, err) != 0)
            return -1;
    }
    return 0;
}
