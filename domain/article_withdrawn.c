/*
 * Which events of articles are for everybody no longer. An article.created of something that was public is so for ever
 * in the log; the row says whether it is still to be shown.
 */
#include "domain/article.h"
#include "domain/model.h"
#include "events/actor.h"

#include <string.h>

static const char PREFIX[] = "article-";

/* The article whose content everybody could read by this event; NULL: there is none. */
static const char *shown_by(const struct envelope *event)
{
    if ((model_effect(&MODEL, event) & EVENT_CONTENT) == 0 || strncmp(event->stream, PREFIX, sizeof PREFIX - 1) != 0)
        return NULL;
    return audience_public(event->audience) ? event->stream + sizeof PREFIX - 1 : NULL;
}

/* So few sizes that all of the statements stay prepared. */
static size_t places_for(size_t count)
{
    size_t places = 1;
    while (places < count)
        places *= 2;
    return places;
}

/* The last id is repeated for the places that are left. */
static int select_published(struct sql *db, struct arena *arena, const char *const *ids, size_t count,
                            struct sql_rows *rows, struct err *err)
{
    size_t places = places_for(count);
    struct sql_arg *args = arena_alloc(arena, places * sizeof *args);
    const char *list = sql_places(arena, places);
    const char *text =
        list != NULL ? arena_printf(arena, "SELECT id FROM articles WHERE id IN %s AND status = 'published'", list)
                     : NULL;
    if (args == NULL || text == NULL)
        return fail(err, ERR_INTERNAL, "no room for a query");
    for (size_t i = 0; i < places; i++)
        args[i] = SQL_TEXT(ids[i < count ? i : count - 1]);
    return sql_select(db, arena, text, args, places, rows, err);
}

static bool has_id(const struct sql_rows *rows, const char *id)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(SQL_CELL(rows, i, 0).data, id) == 0)
            return true;
    return false;
}

int articles_withdrawn(struct sql *db, struct arena *arena, const struct envelope *events, size_t count,
                       bool *withdrawn, struct err *err)
{
    const char **ids = arena_alloc(arena, (count + 1) * sizeof *ids);
    struct sql_rows rows;
    size_t asked = 0;
    if (ids == NULL)
        return fail(err, ERR_INTERNAL, "no room for a query");
    for (size_t i = 0; i < count; i++) {
        const char *id = shown_by(&events[i]);
        if (id != NULL && (asked == 0 || strcmp(ids[asked - 1], id) != 0))
            ids[asked++] = id;
    }
    if (asked == 0)
        return 0;
    if (select_published(db, arena, ids, asked, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const char *id = shown_by(&events[i]);
        withdrawn[i] = id != NULL && !has_id(&rows, id);
    }
    return 0;
}
