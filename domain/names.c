/* See names.h. */
#include "domain/names.h"

#include "base/clock.h"
#include "base/id.h"

#include <stdlib.h>
#include <string.h>

/* A name has at most 40 characters. */
enum { PLACES = 256, NAME_ROOM = 164, AT_ONCE = 64 };

struct kept {
    char id[ID_TEXT], name[NAME_ROOM];
    int64_t changed;
};

struct names {
    struct known *known;
    int64_t as_of; /* known_names when the oldest of these was asked for */
    struct kept places[PLACES];
};

struct names *names_new(struct known *known)
{
    struct names *names = calloc(1, sizeof *names);
    if (names != NULL)
        names->known = known;
    return names;
}

void names_free(struct names **names)
{
    free(*names);
    *names = NULL;
}

static struct kept *place_of(struct names *names, const char *id)
{
    uint32_t hash = 2166136261u;
    for (const char *at = id; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return &names->places[(hash ^ hash >> 16) % PLACES];
}

static bool recall(struct names *names, struct arena *arena, struct author *author)
{
    const struct kept *kept = names != NULL ? place_of(names, author->id) : NULL;
    if (kept == NULL || strcmp(kept->id, author->id) != 0)
        return false;
    author->name = arena_copy_z(arena, kept->name);
    author->changed = kept->changed;
    return author->name != NULL;
}

static void keep(struct names *names, struct str id, struct str name, int64_t changed)
{
    if (names == NULL || name.data == NULL || id.len >= ID_TEXT || name.len >= NAME_ROOM)
        return;
    struct kept *kept = place_of(names, id.data);
    memcpy(kept->id, id.data, id.len + 1);
    memcpy(kept->name, name.data, name.len + 1);
    kept->changed = changed;
}

static int ask(struct names *names, struct sql *db, struct arena *arena, struct author **missing, size_t count,
               struct err *err)
{
    struct sql_arg ids[AT_ONCE];
    struct sql_rows rows;
    size_t places = 1;
    while (places < count)
        places *= 2; /* so few sizes that all of them stay prepared */
    for (size_t i = 0; i < places; i++)
        ids[i] = SQL_TEXT(missing[i < count ? i : count - 1]->id);
    const char *in = sql_places(arena, places);
    const char *text =
        in != NULL
            ? arena_printf(arena, "SELECT id, username, renamed_at FROM users WHERE id IN %s", in)
            : NULL;
    if (text == NULL)
        return fail(err, ERR_INTERNAL, "no room for names");
    if (sql_select(db, arena, text, ids, places, &rows, err) != 0)
        return -1;
    for (size_t r = 0; r < rows.count; r++) {
        struct str id = SQL_CELL(&rows, r, 0), name = SQL_CELL(&rows, r, 1), at = SQL_CELL(&rows, r, 2);
        int64_t changed = at.data != NULL ? clock_parse(at.data, at.len) : INT64_MIN;
        keep(names, id, name, changed);
        for (size_t i = 0; i < count; i++)
            if (strcmp(missing[i]->id, id.data) == 0) {
                missing[i]->name = name.data;
                missing[i]->changed = changed;
            }
    }
    return 0;
}

int names_find(struct names *names, struct sql *db, struct arena *arena, struct author *authors, size_t count,
               struct err *err)
{
    struct author *missing[AT_ONCE];
    size_t waiting = 0;
    /* Before any is asked for: what changes after this is noticed by the next call. */
    int64_t now = names != NULL ? known_names(names->known) : 0;
    if (names != NULL && now != names->as_of) {
        memset(names->places, 0, sizeof names->places);
        names->as_of = now;
    }
    for (size_t i = 0; i < count; i++) {
        authors[i].name = NULL;
        authors[i].changed = authors[i].id != NULL ? INT64_MAX : INT64_MIN;
        if (authors[i].id != NULL && !recall(names, arena, &authors[i]))
            missing[waiting++] = &authors[i];
        if (waiting == 0 || (waiting < AT_ONCE && i + 1 < count))
            continue;
        if (ask(names, db, arena, missing, waiting, err) != 0)
            return -1;
        waiting = 0;
    }
    return 0;
}
