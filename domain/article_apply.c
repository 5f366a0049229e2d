/* What each event makes of an article, and the upcasters of older forms. */
#include "base/clock.h"
#include "base/json.h"
#include "domain/article.h"

#include <string.h>

enum {
    TITLE,
    SUBTITLE,
    LEAD,
    CONTENT,
    TAGS,
    SLUG,
    AUTHOR,
    STATUS,
    SLUG_KEPT,
    PUBLISHED_AT,
    CREATED_AT,
    UPDATED_AT,
    REVISION,
    MEMBERS
};

static const char *const NAMES[MEMBERS] = {"title",      "subtitle",   "lead",    "content",   "tags",
                                           "slug",       "author",     "status",  "slug_kept", "published_at",
                                           "created_at", "updated_at", "revision"};

static int lacking(const struct envelope *event, struct err *err)
{
    return fail(err, ERR_DAMAGED, "position %lld: this %.64s event lacks a member", (long long)event->position,
                event->type);
}

/* The members that a writer chooses; tags stay the JSON array that they are. */
static bool take_content(struct article_content *content, const struct str *raw, struct arena *arena)
{
    struct str *const texts[] = {&content->title, &content->subtitle, &content->lead, &content->content};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = json_text(arena, raw[TITLE + i]);
        if (texts[i]->data == NULL)
            return false;
    }
    content->tags = (struct str){arena_copy(arena, raw[TAGS].data, raw[TAGS].len), raw[TAGS].len};
    return content->tags.len >= 2 && content->tags.data != NULL && content->tags.data[0] == '[';
}

int article_event_content(const struct envelope *event, struct arena *arena, struct article_content *content,
                          struct err *err)
{
    struct str raw[MEMBERS];
    json_members(event->data, NAMES, raw, MEMBERS);
    return take_content(content, raw, arena) ? 0 : lacking(event, err);
}

static bool take_author(struct article *article, const struct str *raw, const char *stream, struct arena *arena)
{
    article->id = arena_copy_z(arena, stream + strlen("article-"));
    article->author_id = json_text(arena, json_member(raw[AUTHOR], "id")).data;
    article->slug = json_text(arena, raw[SLUG]).data;
    return article->id != NULL && article->slug != NULL && article->author_id != NULL;
}

int article_created(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    struct str raw[MEMBERS];
    json_members(event->data, NAMES, raw, MEMBERS);
    if (!take_author(article, raw, event->stream, arena) || !take_content(&article->content, raw, arena))
        return lacking(event, err);
    article->status = "draft";
    article->revision = 1;
    article->created_at = article->updated_at = event->recorded_at;
    article->published_at = INT64_MIN;
    return 0;
}

int article_imported(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    struct str raw[MEMBERS];
    json_members(event->data, NAMES, raw, MEMBERS);
    if (!take_author(article, raw, event->stream, arena) || !take_content(&article->content, raw, arena))
        return lacking(event, err);
    article->status = json_text(arena, raw[STATUS]).data;
    article->slug_kept = str_is(raw[SLUG_KEPT], "true");
    article->revision = json_whole(raw[REVISION]);
    article->created_at = json_moment(raw[CREATED_AT]);
    article->updated_at = json_moment(raw[UPDATED_AT]);
    article->published_at = json_moment(raw[PUBLISHED_AT]);
    if (article->status == NULL || article->revision < 0 || article->created_at == INT64_MIN ||
        article->updated_at == INT64_MIN)
        return lacking(event, err);
    return 0;
}

bool article_imported_shows(const struct envelope *event)
{
    return str_is(json_member(event->data, "status"), "\"published\"");
}

int article_updated(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    struct str raw[MEMBERS];
    json_members(event->data, NAMES, raw, MEMBERS);
    if (!take_content(&article->content, raw, arena))
        return lacking(event, err);
    if (raw[SLUG].data != NULL)
        article->slug = json_text(arena, raw[SLUG]).data;
    article->updated_at = event->recorded_at;
    return article->slug != NULL ? 0 : lacking(event, err);
}

int article_revision_created(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    (void)arena;
    article->revision = json_whole(json_member(event->data, "revision"));
    article->updated_at = event->recorded_at;
    return article->revision > 0 ? 0 : lacking(event, err);
}

int article_published(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    struct str slug = json_member(event->data, "slug");
    article->status = "published";
    article->slug_kept = 1;
    if (slug.data != NULL)
        article->slug = json_text(arena, slug).data;
    article->published_at = json_moment(json_member(event->data, "published_at"));
    article->updated_at = event->recorded_at;
    return article->published_at != INT64_MIN && article->slug != NULL ? 0 : lacking(event, err);
}

int article_unpublished(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    (void)arena;
    (void)err;
    article->status = "draft";
    article->published_at = INT64_MIN;
    article->updated_at = event->recorded_at;
    return 0;
}

/* What it said goes; whether it was public stays, in published_at. */
int article_deleted(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    (void)arena;
    (void)err;
    article->status = "deleted";
    article->content = (struct article_content){STR(""), STR(""), STR(""), STR(""), STR("[]")};
    article->updated_at = event->recorded_at;
    return 0;
}

/* More members at the end of an event's data. */
static int extended(const struct envelope *event, struct arena *arena, const char *members, struct str *data,
                    struct err *err)
{
    if (event->data.len < 3 || members == NULL)
        return lacking(event, err);
    *data = str_of(arena_printf(arena, "%.*s,%s}", (int)event->data.len - 1, event->data.data, members));
    return data->data != NULL ? 0 : fail(err, ERR_INTERNAL, "no room for an event");
}

/* The slug that an article from before there were slugs has. */
static const char *late_slug(const struct envelope *event, struct arena *arena)
{
    struct str title = json_text(arena, json_member(event->data, "title"));
    return title.data != NULL ? article_slug(arena, title, event->stream + strlen("article-"), 3) : NULL;
}

/* Schema 1 of article.created and of article.imported had no slug. */
static int created_2(const struct envelope *event, struct arena *arena, struct str *data, struct err *err)
{
    const char *slug = late_slug(event, arena);
    return extended(event, arena, slug != NULL ? arena_printf(arena, "\"slug\":\"%s\"", slug) : NULL, data, err);
}

static int imported_2(const struct envelope *event, struct arena *arena, struct str *data, struct err *err)
{
    const char *slug = late_slug(event, arena);
    const char *kept = str_is(json_member(event->data, "status"), "\"published\"") ? "true" : "false";
    return extended(event, arena,
                    slug != NULL ? arena_printf(arena, "\"slug\":\"%s\",\"slug_kept\":%s", slug, kept) : NULL, data,
                    err);
}

const upcaster ARTICLE_CREATED_UP[] = {created_2};
const upcaster ARTICLE_IMPORTED_UP[] = {imported_2};

/*
 * Schema 1 of article.published was {"id"}: published when it was recorded. Since then the event says so itself, for an
 * article that was published elsewhere, or is published when it is due, has another time.
 */
static int published_2(const struct envelope *event, struct arena *arena, struct str *data, struct err *err)
{
    char stamp[CLOCK_TEXT];
    struct str id = json_member(event->data, "id");
    if (id.data == NULL)
        return lacking(event, err);
    clock_rfc3339(event->recorded_at, stamp);
    *data = str_of(arena_printf(arena, "{\"id\":%.*s,\"published_at\":\"%s\"}", (int)id.len, id.data, stamp));
    return data->data != NULL ? 0 : fail(err, ERR_INTERNAL, "no room for an event");
}

const upcaster ARTICLE_PUBLISHED_UP[] = {published_2};
