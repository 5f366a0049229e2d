/* States and rows, by the table of columns. See model.h. */
#include "base/clock.h"
#include "events/model.h"

#include <stdlib.h>
#include <string.h>

static const void *member_of(const struct column *column, const void *state)
{
    return (const char *)state + column->offset;
}

static struct str text_of(const struct column *column, const void *state)
{
    const void *member = member_of(column, state);
    if (column->type == COLUMN_STR)
        return *(const struct str *)member;
    const char *text = *(const char *const *)member;
    return text != NULL ? str_of(text) : (struct str){NULL, 0};
}

static int64_t number_of(const struct column *column, const void *state)
{
    return *(const int64_t *)member_of(column, state);
}

static bool is_text(const struct column *column)
{
    return column->type == COLUMN_TEXT || column->type == COLUMN_STR;
}

static const struct column *version_column(const struct read_model *model)
{
    for (size_t i = 0; i < model->column_count; i++)
        if (strcmp(model->columns[i].name, "version") == 0)
            return &model->columns[i];
    abort();
}

int64_t state_changed(const struct read_model *model, const void *state)
{
    for (size_t i = 0; i < model->column_count; i++)
        if (strcmp(model->columns[i].name, "updated_at") == 0)
            return state_version(model, state) > 0 ? number_of(&model->columns[i], state) : INT64_MIN;
    return INT64_MIN;
}

int64_t state_version(const struct read_model *model, const void *state)
{
    return number_of(version_column(model), state);
}

void state_set_version(const struct read_model *model, void *state, int64_t version)
{
    memcpy((char *)state + version_column(model)->offset, &version, sizeof version);
}

static void set_text(const struct column *column, void *state, struct str text)
{
    if (column->type == COLUMN_STR)
        memcpy((char *)state + column->offset, &text, sizeof text);
    else
        memcpy((char *)state + column->offset, &text.data, sizeof text.data);
}

size_t state_bytes(const struct read_model *model, const void *state)
{
    size_t total = model->state_size;
    for (size_t i = 0; i < model->column_count; i++)
        if (is_text(&model->columns[i]))
            total += text_of(&model->columns[i], state).len + 1;
    return total;
}

void state_pack(const struct read_model *model, const void *state, void *block)
{
    char *at = (char *)block + model->state_size;
    memcpy(block, state, model->state_size);
    for (size_t i = 0; i < model->column_count; i++) {
        struct str text = is_text(&model->columns[i]) ? text_of(&model->columns[i], state) : (struct str){NULL, 0};
        if (text.data == NULL)
            continue;
        memcpy(at, text.data, text.len);
        at[text.len] = '\0';
        set_text(&model->columns[i], block, (struct str){at, text.len});
        at += text.len + 1;
    }
}

const struct column *state_difference(const struct read_model *model, const void *a, const void *b)
{
    for (size_t i = 0; i < model->column_count; i++) {
        const struct column *column = &model->columns[i];
        if (is_text(column)) {
            struct str x = text_of(column, a), y = text_of(column, b);
            if ((x.data == NULL) != (y.data == NULL) || x.len != y.len ||
                (x.len > 0 && memcmp(x.data, y.data, x.len) != 0))
                return column;
        } else if (number_of(column, a) != number_of(column, b)) {
            return column;
        }
    }
    return NULL;
}

int state_derive(const struct read_model *model, void *state, const unsigned char *key, struct arena *arena,
                 struct err *err)
{
    return model->derive != NULL ? model->derive(state, key, arena, err) : 0;
}

static const char *select_text(const struct read_model *model, struct arena *arena, const char *more, const char *table,
                               const char *rest, bool derived)
{
    struct buf buf;
    buf_init(&buf, arena);
    for (size_t i = 0; i < model->column_count && (derived || !model->columns[i].derived); i++)
        buf_printf(&buf, "%s%s", i > 0 ? ", " : "SELECT ", model->columns[i].name);
    if (more != NULL)
        buf_printf(&buf, ", %s", more);
    buf_printf(&buf, " FROM %s %s", table, rest);
    buf_add(&buf, "", 1);
    return buf.failed ? NULL : buf.data;
}

const char *row_select(const struct read_model *model, struct arena *arena, const char *table, const char *rest)
{
    return select_text(model, arena, NULL, table, rest, true);
}

const char *row_select_more(const struct read_model *model, struct arena *arena, const char *more, const char *table,
                            const char *rest)
{
    return select_text(model, arena, more, table, rest, true);
}

const char *row_select_state(const struct read_model *model, struct arena *arena, const char *table, const char *rest)
{
    return select_text(model, arena, model->lookup, table, rest, false);
}

void row_state(const struct read_model *model, const struct sql_rows *rows, size_t row, void *state)
{
    for (size_t i = 0; i < model->column_count && i < rows->columns; i++) {
        const struct column *column = &model->columns[i];
        struct str cell = SQL_CELL(rows, row, i);
        if (is_text(column)) {
            /* A NUL, which no event makes, would hide what comes after it. */
            bool hidden = column->type == COLUMN_TEXT && cell.data != NULL && strlen(cell.data) != cell.len;
            set_text(column, state, hidden ? STR("(a text with a NUL)") : cell);
            continue;
        }
        int64_t number = column->type == COLUMN_NUMBER ? sql_number(cell)
                         : cell.data != NULL           ? clock_parse(cell.data, cell.len)
                                                       : INT64_MIN;
        memcpy((char *)state + column->offset, &number, sizeof number);
    }
}

static struct sql_arg moment(int64_t value, struct arena *arena)
{
    char *text = value != INT64_MIN ? arena_alloc(arena, CLOCK_TEXT) : NULL;
    if (text != NULL)
        clock_sql(value, text);
    return sql_text(text);
}

void row_values(const struct read_model *model, const void *state, struct arena *arena, struct sql_arg *values)
{
    for (size_t i = 0; i < model->column_count; i++) {
        const struct column *column = &model->columns[i];
        struct str text = is_text(column) ? text_of(column, state) : (struct str){NULL, 0};
        if (is_text(column))
            values[i] = text.data != NULL ? SQL_STR(text) : sql_text(NULL);
        else
            values[i] = column->type == COLUMN_NUMBER ? SQL_INT(number_of(column, state))
                                                      : moment(number_of(column, state), arena);
    }
}

static void add_statement(const struct read_model *model, struct buf *buf, bool is_new)
{
    buf_printf(buf, is_new ? "INSERT INTO %s (" : "UPDATE %s SET ", model->name);
    for (size_t i = 0; i < model->column_count; i++)
        buf_printf(buf, is_new ? "%s%s" : "%s%s = ?", i > 0 ? ", " : "", model->columns[i].name);
    if (!is_new) {
        buf_printf(buf, " WHERE %s = ?", model->columns[0].name);
        return;
    }
    buf_puts(buf, ") VALUES (");
    for (size_t i = 0; i < model->column_count; i++)
        buf_puts(buf, i > 0 ? ", ?" : "?");
    buf_puts(buf, ")");
}

enum { SIDE_AT_ONCE = 8 };

static void insert_side(const struct side *side, struct sql_batch *batch, const struct str *cells, size_t rows)
{
    struct sql_arg args[SIDE_AT_ONCE * COLUMNS_MOST];
    struct buf text;
    buf_init(&text, sql_batch_arena(batch));
    buf_printf(&text, "INSERT INTO %s (%s) VALUES ", side->name, side->columns);
    for (size_t i = 0; i < rows * side->column_count; i++) {
        buf_puts(&text, i % side->column_count > 0 ? ", ?" : i > 0 ? "), (?" : "(?");
        args[i] = SQL_STR(cells[i]);
    }
    buf_puts(&text, ")");
    buf_add(&text, "", 1);
    sql_batch_add(batch, text.failed ? "" : text.data, args, rows * side->column_count);
}

static void side_write(const struct read_model *model, const struct side *side, struct sql_batch *batch,
                       const void *before, const void *state)
{
    struct sql_arg id = SQL_STR(text_of(&model->columns[0], state));
    if (!side->moved(before, state))
        return;
    if (state_version(model, before) > 0)
        sql_batch_add(batch, arena_printf(sql_batch_arena(batch), "DELETE FROM %s WHERE id = ?", side->name), &id, 1);
    struct side_rows rows = {.arena = sql_batch_arena(batch), .columns = side->column_count};
    side->rows(state, &rows);
    if (rows.failed)
        sql_batch_add(batch, "", NULL, 0);
    for (size_t at = 0; at < rows.count && !rows.failed; at += SIDE_AT_ONCE)
        insert_side(side, batch, rows.cells + at * rows.columns,
                    rows.count - at < SIDE_AT_ONCE ? rows.count - at : SIDE_AT_ONCE);
}

void row_write(const struct read_model *model, struct sql_batch *batch, const void *before, const void *state)
{
    struct sql_arg values[COLUMNS_MOST + 1];
    struct buf text;
    bool is_new = state_version(model, before) == 0;
    buf_init(&text, sql_batch_arena(batch));
    add_statement(model, &text, is_new);
    buf_add(&text, "", 1);
    row_values(model, state, sql_batch_arena(batch), values);
    values[model->column_count] = values[0];
    sql_batch_add(batch, text.failed ? "" : text.data, values, model->column_count + (is_new ? 0 : 1));
    for (size_t i = 0; i < model->side_count; i++)
        side_write(model, &model->sides[i], batch, before, state);
}
