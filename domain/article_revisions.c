/*
 * Revisions, out of the log.
 *
 * A revision is what an article.created or .updated event says, and the article.revision_created after it says which it
 * is; or an article.imported, which says both. Each takes at least two versions of its stream, so revision n is at
 * version 2n or later, and it is looked for from there on.
 *
 * Who may read drafts may read all. Others may read a revision that was public once: written while the article was,
 * which its audience says, or the newest one when the article was published. The version that it has for them is the
 * first one at which they could read it: what they ask for by ?version is there.
 */
#include "base/json.h"
#include "domain/article_query.h"
#include "domain/model.h"
#include "events/eventlog.h"

#include <string.h>

enum { CHUNK = 50, PAGE_LIMIT = 64 * 1024 * 1024 };

static bool is_type(const struct envelope *event, const char *type)
{
    return strcmp(event->type, type) == 0;
}

static bool ends_revision(const struct envelope *event)
{
    return is_type(event, "article.revision_created") || is_type(event, "article.imported");
}

static int64_t number_of(const struct envelope *event)
{
    return json_whole(json_member(event->data, "revision"));
}

/* What is read of one article by one reader. */
struct history {
    struct sql *db;
    struct arena *arena;
    const char *stream, *author_id;
    bool sees_drafts, sees_editors;
};

static int open_history(struct history *history, const struct reading *reading, const char *id, int64_t *position,
                        struct err *err)
{
    struct article_view view;
    struct arena *arena = reading->arena;
    const struct actor *reader = reading->reader;
    int status = article_find(reading, id, 0, &view, err);
    *position = view.position;
    if (status != 0)
        return -1;
    *history = (struct history){.db = reading->db,
                                .arena = arena,
                                .stream = arena_printf(arena, "article-%s", id),
                                .author_id = view.author.id};
    if (history->stream == NULL || history->author_id == NULL)
        return fail(err, ERR_INTERNAL, "no room for an article's history");
    bool is_author = reader->user_id != NULL && strcmp(reader->user_id, history->author_id) == 0;
    history->sees_drafts = is_author || actor_may(reader, "article_edit_any");
    history->sees_editors = history->sees_drafts || actor_may(reader, "audit_read");
    return 0;
}

static const char *editor_of(const struct history *history, const struct envelope *event)
{
    const char *id = json_text(history->arena, json_member(event->metadata, "user_id")).data;
    return id != NULL && (history->sees_editors || strcmp(id, history->author_id) == 0) ? id : NULL;
}

/* The event before revision_created, or the imported one itself, has the content. */
static int read_content(struct sql *db, struct arena *arena, const struct envelope *end,
                        struct article_content *content, struct err *err)
{
    struct event_list list;
    struct envelope event = *end;
    if (!is_type(end, "article.imported")) {
        if (eventlog_read_stream(db, arena, end->stream, end->version - 2, end->version - 1, 1, &list, err) != 0)
            return -1;
        if (list.count != 1)
            return fail(err, ERR_INTERNAL, "%s: version %lld is missing", end->stream, (long long)end->version - 1);
        event = list.events[0];
    }
    return model_upcast(&MODEL, &event, arena, err) == 0 ? article_event_content(&event, arena, content, err) : -1;
}

/* published: the version of the article.published that comes before the next revision; 0: none does. */
static bool visible(const struct history *history, const struct envelope *end, int64_t published)
{
    return history->sees_drafts || published > 0 || audience_public(end->audience);
}

/* What is published with the command that writes it is public by its audience, and a draft until the event after it. */
static int64_t version_for(const struct history *history, const struct envelope *end, int64_t published)
{
    bool since = audience_public(end->audience) && published != end->version + 1;
    return history->sees_drafts || since ? end->version : published;
}

static int take(const struct history *history, const struct envelope *end, int64_t published,
                struct article_revision *revision, struct err *err)
{
    *revision = (struct article_revision){.revision = number_of(end),
                                          .end = end->version,
                                          .version = version_for(history, end, published),
                                          .created_at = end->recorded_at,
                                          .author_id = editor_of(history, end)};
    return read_content(history->db, history->arena, end, &revision->content, err);
}

static const char *name_of(const struct sql_rows *rows, const char *id)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(SQL_CELL(rows, i, 0).data, id) == 0)
            return SQL_CELL(rows, i, 1).data;
    return NULL;
}

/* The names of those who made revisions. */
static int name_editors(const struct history *history, struct article_revision *list, size_t count, struct err *err)
{
    struct sql_arg ids[ARTICLE_PAGE_MOST];
    struct sql_rows rows;
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i].author_id != NULL)
            ids[known++] = SQL_TEXT(list[i].author_id);
    if (known == 0)
        return 0;
    const char *places = sql_places(history->arena, known);
    const char *text =
        places != NULL ? arena_printf(history->arena, "SELECT id, username FROM users WHERE id IN %s", places) : NULL;
    if (text == NULL)
        return fail(err, ERR_INTERNAL, "no room for a query");
    if (sql_select(history->db, history->arena, text, ids, known, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (list[i].author_id != NULL)
            list[i].author_name = name_of(&rows, list[i].author_id);
    return 0;
}

/* One chunk of the stream, backwards; *published: when the revision that comes next first was, as the newest one. */
static int take_back(const struct history *history, const struct event_list *events, size_t limit, int64_t *published,
                     struct article_revisions *revisions, struct err *err)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct envelope *event = &events->events[i];
        if (is_type(event, "article.published"))
            *published = event->version;
        if (!ends_revision(event))
            continue;
        int64_t first = *published;
        *published = 0;
        if (!visible(history, event, first))
            continue;
        if (revisions->count == limit) {
            revisions->more = true;
            return 0;
        }
        if (take(history, event, first, &revisions->list[revisions->count++], err) != 0)
            return -1;
    }
    return 0;
}

/* Chunk by chunk, each in the room of the one before: of a long history few revisions may be visible. */
static int read_back(const struct history *history, struct arena *page, int64_t before, size_t limit,
                     struct article_revisions *revisions, struct err *err)
{
    struct event_list events;
    int64_t published = 0;
    do {
        arena_reset(page);
        if (eventlog_read_back(history->db, page, history->stream, before, CHUNK, &events, err) != 0 ||
            take_back(history, &events, limit, &published, revisions, err) != 0)
            return -1;
        if (events.count > 0)
            before = events.events[events.count - 1].version;
    } while (events.count == CHUNK && !revisions->more);
    return 0;
}

int article_revision_list(const struct reading *reading, const char *id, int64_t before, size_t limit,
                          struct article_revisions *revisions, struct err *err)
{
    struct history history;
    *revisions = (struct article_revisions){.position = -1};
    if (open_history(&history, reading, id, &revisions->position, err) != 0)
        return -1;
    if ((revisions->list = arena_alloc(reading->arena, limit * sizeof *revisions->list)) == NULL)
        return fail(err, ERR_INTERNAL, "no room for revisions");
    struct arena *page = arena_new(PAGE_LIMIT);
    int status = page != NULL ? read_back(&history, page, before, limit, revisions, err)
                              : fail(err, ERR_UNAVAILABLE, "no memory for revisions");
    arena_free(&page);
    if (status != 0)
        return -1;
    return name_editors(&history, revisions->list, revisions->count, err);
}

/* An event that outlives the room it was read into. */
static struct envelope kept(struct arena *arena, const struct envelope *event)
{
    struct envelope copy = *event;
    copy.stream = arena_copy_z(arena, event->stream);
    copy.type = arena_copy_z(arena, event->type);
    copy.audience = arena_copy_z(arena, event->audience);
    copy.data.data = arena_copy(arena, event->data.data, event->data.len);
    copy.metadata.data = arena_copy(arena, event->metadata.data, event->metadata.len);
    return copy;
}

/* A search for the event that ends a revision. */
struct end {
    int64_t number, after;
    struct envelope event;
    bool found, over;
    int64_t published; /* when the article first was with it as the newest one; 0: never */
};

static void look_for_end(struct end *end, struct arena *arena, const struct event_list *events)
{
    for (size_t i = 0; i < events->count && !end->over; i++) {
        const struct envelope *event = &events->events[i];
        end->after = event->version;
        end->over = ends_revision(event) && (end->found || number_of(event) > end->number);
        if (!end->over && ends_revision(event) && number_of(event) == end->number) {
            end->event = kept(arena, event);
            end->found = true;
        }
        if (!end->over && end->found && end->published == 0 && is_type(event, "article.published"))
            end->published = event->version;
    }
}

/* Reads on from the first version that the revision may have. */
static int find_end(struct sql *db, struct arena *arena, const char *stream, int64_t number, struct end *end,
                    struct err *err)
{
    struct event_list events = {.count = CHUNK};
    /* No stream has so many versions. */
    *end = (struct end){.number = number, .after = 2 * number - 1, .over = number < 1 || number >= INT64_MAX / 4};
    struct arena *page = arena_new(PAGE_LIMIT);
    int status = page != NULL && stream != NULL ? 0 : fail(err, ERR_UNAVAILABLE, "no memory for a revision");
    while (status == 0 && !end->over && events.count == CHUNK) {
        arena_reset(page);
        status = eventlog_read_stream(db, page, stream, end->after, INT64_MAX, CHUNK, &events, err);
        if (status == 0)
            look_for_end(end, arena, &events);
    }
    arena_free(&page);
    return status;
}

int article_revision_find(const struct reading *reading, const char *id, int64_t number,
                          struct article_revision *revision, int64_t *position, struct err *err)
{
    struct history history;
    struct end end;
    if (open_history(&history, reading, id, position, err) != 0 ||
        find_end(reading->db, reading->arena, history.stream, number, &end, err) != 0)
        return -1;
    if (!end.found || !visible(&history, &end.event, end.published))
        return fail(err, ERR_ABSENT, "The article has no such revision.");
    if (take(&history, &end.event, end.published, revision, err) != 0)
        return -1;
    return name_editors(&history, revision, 1, err);
}

int article_revision_content(struct sql *db, struct arena *arena, const char *id, int64_t number,
                             struct article_content *content, struct err *err)
{
    struct end end;
    if (find_end(db, arena, arena_printf(arena, "article-%s", id), number, &end, err) != 0)
        return -1;
    if (end.found && read_content(db, arena, &end.event, content, err) != 0)
        return -1;
    return end.found;
}
