/* Keys, by the lines of SHOW CREATE TABLE. See late_keys.h. */
#include "events/late_keys.h"

#include "base/buf.h"

#include <string.h>

enum { KEYS_MOST = 64 };

static const char QUOTED[] = "SET SESSION sql_quote_show_create = 1";

struct keys {
    size_t count;
    struct str lines[KEYS_MOST]; /* «UNIQUE KEY `slug` (`slug`)» */
};

static bool starts_with(struct str line, const char *text)
{
    return line.len > strlen(text) && memcmp(line.data, text, strlen(text)) == 0;
}

static int no_room(struct err *err)
{
    return fail(err, ERR_UNAVAILABLE, "no room for a statement");
}

/* The secondary keys of a table, in the order that it has them. */
static int read_keys(struct sql *db, struct arena *arena, const char *table, struct keys *keys, struct err *err)
{
    struct sql_rows rows;
    keys->count = 0;
    const char *show = table != NULL ? arena_printf(arena, "SHOW CREATE TABLE %s", table) : NULL;
    if (show == NULL)
        return no_room(err);
    /* The names stand in backquotes, whatever the server was told. */
    if (sql_script(db, QUOTED, strlen(QUOTED), err) != 0 || sql_select(db, arena, show, NULL, 0, &rows, err) != 0)
        return -1;
    const char *end;
    for (const char *at = SQL_CELL(&rows, 0, 1).data; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        at += strspn(at, " ");
        struct str line = {at, (size_t)(end - at) - (end[-1] == ',')};
        if (!starts_with(line, "KEY `") && !starts_with(line, "UNIQUE KEY `") && !starts_with(line, "FULLTEXT KEY `"))
            continue;
        if (keys->count == KEYS_MOST)
            return fail(err, ERR_INTERNAL, "%s has too many keys", table);
        keys->lines[keys->count++] = line;
    }
    return 0;
}

static bool has(const struct keys *keys, struct str line)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->lines[i].len == line.len && memcmp(keys->lines[i].data, line.data, line.len) == 0)
            return true;
    return false;
}

static int run(struct sql *db, struct buf *text, struct err *err)
{
    return text->failed ? no_room(err) : sql_script(db, text->data, text->len, err);
}

int late_keys_drop(struct sql *db, struct arena *arena, const char *name, struct err *err)
{
    struct keys keys;
    struct buf text;
    if (read_keys(db, arena, arena_printf(arena, "zrebuild_%s", name), &keys, err) != 0)
        return -1;
    buf_init(&text, arena);
    buf_printf(&text, "ALTER TABLE zrebuild_%s", name);
    for (size_t i = 0; i < keys.count; i++) {
        const char *from = memchr(keys.lines[i].data, '`', keys.lines[i].len);
        const char *to = strchr(from + 1, '`');
        buf_puts(&text, i > 0 ? ", DROP KEY " : " DROP KEY ");
        buf_add(&text, from, (size_t)(to - from) + 1);
    }
    return keys.count > 0 ? run(db, &text, err) : 0;
}

int late_keys_make(struct sql *db, struct arena *arena, const char *name, struct err *err)
{
    struct keys wanted, there;
    struct buf text;
    size_t added = 0;
    if (read_keys(db, arena, name, &wanted, err) != 0 ||
        read_keys(db, arena, arena_printf(arena, "zrebuild_%s", name), &there, err) != 0)
        return -1;
    buf_init(&text, arena);
    /* What FULLTEXT leaves away where a session does not forbid it, no search would find. */
    buf_printf(&text, "SET SESSION innodb_ft_enable_stopword = OFF; ALTER TABLE zrebuild_%s", name);
    for (size_t i = 0; i < wanted.count; i++) {
        if (has(&there, wanted.lines[i]))
            continue;
        buf_puts(&text, added++ > 0 ? ", ADD " : " ADD ");
        buf_add(&text, wanted.lines[i].data, wanted.lines[i].len);
    }
    return added > 0 ? run(db, &text, err) : 0;
}
