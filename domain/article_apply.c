/* What each event makes of an article, and the upcasters of older forms. */
#include "base/clock.h"
#include "base/json.h"
#include "domain/article.h"

#include <string.h>

enum { TITLE, SUBTITLE, LEAD, CONTENT, TAGS, AUTHOR, STATUS, PUBLISHED_AT, CREATED_AT, UPDATED_AT, REVISION, MEMBERS };

static const char *const NAMES[MEMBERS] = {"title",  "subtitle",     "lead",       "content",    "tags",    "author",
                                           "status", "published_at", "created_at", "updated_at", "revision"};

static int lacking(const struct envelope *event, struct err *err)
{
    return fail(err, ERR_INTERNAL, "position %lld: this %.64s event lacks a member", (long long)event->position,
                event->type);
}

/* The members that a writer chooses; tags stay the JSON array that they are. */
static bool take_content(struct article *article, const struct str *raw, struct arena *arena)
{
    struct str *const texts[] = {&article->title, &article->subtitle, &article->lead, &article->content};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = json_text(arena, raw[TITLE + i]);
        if (texts[i]->data == NULL)
            return false;
    }
    article->tags = (struct str){arena_copy(arena, raw[TAGS].data, raw[TAGS].len), raw[TAGS].len};
    return article->tags.len >= 2 && article->tags.data != NULL && article->tags.data[0] == '[';
}

static bool take_author(struct article *article, const struct str *raw, const char *stream, struct arena *arena)
{
    static const char *const names[] = {"id", "username"};
    struct str author[2];
    json_members(raw[AUTHOR], names, author, 2);
    article->id = arena_copy_z(arena, stream + strlen("article-"));
    article->author_id = json_text(arena, author[0]).data;
    article->author_name = json_text(arena, author[1]).data;
    return article->id != NULL && article->author_id != NULL && article->author_name != NULL;
}

int article_created(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    struct str raw[MEMBERS];
    json_members(event->data, NAMES, raw, MEMBERS);
    if (!take_author(article, raw, event->stream, arena) || !take_content(article, raw, arena))
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
    if (!take_author(article, raw, event->stream, arena) || !take_content(article, raw, arena))
        return lacking(event, err);
    article->status = json_text(arena, raw[STATUS]).data;
    article->revision = json_whole(raw[REVISION]);
    article->created_at = json_moment(raw[CREATED_AT]);
    article->updated_at = json_moment(raw[UPDATED_AT]);
    article->published_at = json_moment(raw[PUBLISHED_AT]);
    if (article->status == NULL || article->revision < 0 || article->created_at == INT64_MIN ||
        article->updated_at == INT64_MIN)
        return lacking(event, err);
    return 0;
}

int article_updated(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct article *article = state;
    struct str raw[MEMBERS];
    json_members(event->data, NAMES, raw, MEMBERS);
    if (!take_content(article, raw, arena))
        return lacking(event, err);
    article->updated_at = event->recorded_at;
    return 0;
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
    (void)arena;
    article->status = "published";
    article->published_at = json_moment(json_member(event->data, "published_at"));
    article->updated_at = event->recorded_at;
    return article->published_at != INT64_MIN ? 0 : lacking(event, err);
}

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
