/* The read model of the article streams: the table `articles`, what follows from its rows, and an article as JSON. */
#include "base/json.h"
#include "base/markdown.h"
#include "base/words.h"
#include "domain/article.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void add_text(struct buf *buf, const char *name, struct str text)
{
    buf_printf(buf, ",\"%s\":", name);
    buf_json(buf, text.data, text.len);
}

/* Without the last brace, and without the author, whose name is not the article's. */
static void add_members(struct buf *buf, const struct article *article)
{
    buf_printf(buf, "{\"id\":\"%s\"", article->id);
    if (article->slug != NULL)
        buf_printf(buf, ",\"slug\":\"%s\"", article->slug);
    add_text(buf, "title", article->content.title);
    add_text(buf, "subtitle", article->content.subtitle);
    add_text(buf, "lead", article->content.lead);
    buf_puts(buf, ",\"tags\":");
    buf_add(buf, article->content.tags.data, article->content.tags.len);
    buf_printf(buf, ",\"status\":\"%s\"", article->status);
    buf_puts(buf, ",\"published_at\":");
    buf_moment(buf, article->published_at);
    buf_printf(buf, ",\"version\":%" PRId64, article->version);
    buf_puts(buf, ",\"created_at\":");
    buf_moment(buf, article->created_at);
    buf_puts(buf, ",\"updated_at\":");
    buf_moment(buf, article->updated_at);
}

void article_json(struct buf *buf, struct str summary, struct author author, struct str rest)
{
    if (summary.len == 0)
        return;
    buf_add(buf, summary.data, summary.len - 1);
    buf_printf(buf, ",\"author\":{\"id\":\"%s\",\"username\":", author.id);
    author.name != NULL ? buf_json_z(buf, author.name) : buf_puts(buf, "null");
    buf_puts(buf, rest.len > 0 ? "}," : "}");
    buf_add(buf, rest.data, rest.len);
    buf_puts(buf, "}");
}

/* One's own name is known also where nobody has looked it up. */
static struct author author_of(const struct article *article, const struct actor *actor)
{
    struct author author = {.id = article->author_id, .name = article->author_name};
    if (author.name == NULL && actor->user_id != NULL && strcmp(actor->user_id, author.id) == 0)
        author.name = actor->username;
    return author;
}

static const char *about(const void *state, const struct actor *actor)
{
    struct author author = author_of(state, actor);
    return author.name != NULL ? author.id : NULL;
}

static void json(struct buf *buf, const void *state, const struct actor *actor)
{
    const struct article *article = state;
    struct author author = author_of(article, actor);
    article_json(buf, article->summary, author, article->rest);
}

static void whole_json(struct buf *buf, const void *state)
{
    const struct article *article = state;
    add_members(buf, article);
    buf_printf(buf, ",\"author\":{\"id\":\"%s\"}", article->author_id);
    add_text(buf, "content", article->content.content);
    buf_printf(buf, ",\"slug_kept\":%s,\"revision\":%" PRId64 "}", article->slug_kept != 0 ? "true" : "false",
               article->revision);
}

static bool is_published(const struct article *article)
{
    return article->status != NULL && strcmp(article->status, "published") == 0;
}

/* Of one that was deleted nothing is shown. */
static int derive(void *state, const unsigned char *key, struct arena *arena, struct err *err)
{
    (void)key;
    struct article *article = state;
    struct buf summary, rest;
    article->summary = article->rest = article->extra = STR("");
    if (strcmp(article->status, "deleted") == 0)
        return 0;
    struct str html = markdown_html(arena, article->content.content);
    buf_init(&summary, arena);
    add_members(&summary, article);
    buf_puts(&summary, "}");
    buf_init(&rest, arena);
    buf_puts(&rest, "\"content\":");
    buf_json(&rest, article->content.content.data, article->content.content.len);
    add_text(&rest, "html", html);
    const struct str texts[] = {article->content.title, article->content.lead, article->content.content};
    if (is_published(article))
        article->extra = words_extra(arena, texts, sizeof texts / sizeof texts[0]);
    if (html.data == NULL || summary.failed || rest.failed || article->extra.data == NULL)
        return fail(err, ERR_INTERNAL, "an article is too large");
    article->summary = buf_str(&summary);
    article->rest = buf_str(&rest);
    return 0;
}

const char *article_audience_of_all(const struct article *article, struct arena *arena)
{
    return arena_printf(arena, "public user:%s permission:article_edit_any", article->author_id);
}

bool article_public(const struct article *article)
{
    return strcmp(article->status, "published") == 0 ||
           (strcmp(article->status, "deleted") == 0 && article->published_at != INT64_MIN);
}

/* Its author and editors are named also where everybody is: they see it still when it was withdrawn. */
static const char *audience(const void *state, struct arena *arena)
{
    const struct article *article = state;
    return article_public(article) ? article_audience_of_all(article, arena)
                                   : arena_printf(arena, "user:%s permission:article_edit_any", article->author_id);
}

bool article_visible(const struct article *article, const struct actor *reader)
{
    return article_public(article) || actor_may(reader, "article_edit_any") ||
           (reader->user_id != NULL && strcmp(reader->user_id, article->author_id) == 0);
}

static bool same_text(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool same_status(const struct article *a, const struct article *b)
{
    return a->status != NULL && b->status != NULL && strcmp(a->status, b->status) == 0;
}

static bool has_tags(const struct article *article)
{
    return article->content.tags.len > strlen("[]");
}

static bool tags_moved(const void *before, const void *after)
{
    const struct article *a = before, *b = after;
    if (!has_tags(a) && !has_tags(b))
        return false;
    return !same_text(a->content.tags, b->content.tags) || !same_status(a, b);
}

static bool text_moved(const void *before, const void *after)
{
    const struct article *a = before, *b = after;
    if (!is_published(a) && !is_published(b))
        return false;
    return is_published(a) != is_published(b) || !same_text(a->content.title, b->content.title) ||
           !same_text(a->content.lead, b->content.lead) || !same_text(a->content.content, b->content.content);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each of them once, whatever a log may hold. */
static void tag_rows(const void *state, struct side_rows *rows)
{
    const struct article *article = state;
    struct err err;
    if (!has_tags(article))
        return;
    struct json_object *tags = json_read(article->content.tags.data, article->content.tags.len, &err);
    size_t count = json_object_is_type(tags, json_type_array) ? json_object_array_length(tags) : 0;
    const char **sorted = arena_alloc(rows->arena, (count + 1) * sizeof *sorted);
    rows->failed = rows->failed || sorted == NULL;
    for (size_t i = 0; i < count && !rows->failed; i++) {
        const char *tag = json_object_get_string(json_object_array_get_idx(tags, i));
        sorted[i] = arena_copy_z(rows->arena, tag != NULL ? tag : "");
        rows->failed = sorted[i] == NULL;
    }
    if (count > 1 && !rows->failed)
        qsort(sorted, count, sizeof *sorted, by_bytes);
    for (size_t i = 0; i < count && !rows->failed; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0)
            side_rows_add(rows, (const struct str[]){str_of(article->id), str_of(sorted[i]), str_of(article->status),
                                                     str_of(article->author_id)});
    json_object_put(tags);
}

static void search_rows(const void *state, struct side_rows *rows)
{
    const struct article *article = state;
    if (is_published(article))
        side_rows_add(rows, (const struct str[]){str_of(article->id), article->content.title, article->content.lead,
                                                 article->content.content, article->extra});
}

static const struct side SIDES[] = {
    {
        .name = "articles_tags",
        .columns = "id, tag, status, author_id",
        .column_count = 4,
        .rows = tag_rows,
        .moved = tags_moved,
    },
    {
        .name = "articles_search",
        .columns = "id, title, lead, content, extra",
        .column_count = 5,
        .rows = search_rows,
        .moved = text_moved,
    },
};

#define MEMBER(name, type, member)                                                                                     \
    {                                                                                                                  \
        name, type, offsetof(struct article, member), false                                                            \
    }
#define COLUMN(name, type) MEMBER(#name, type, name)
#define CONTENT(name) MEMBER(#name, COLUMN_STR, content.name)

static const struct column COLUMNS[] = {
    COLUMN(id, COLUMN_TEXT),
    COLUMN(author_id, COLUMN_TEXT),
    COLUMN(status, COLUMN_TEXT),
    COLUMN(slug, COLUMN_TEXT),
    COLUMN(slug_kept, COLUMN_NUMBER),
    CONTENT(title),
    CONTENT(subtitle),
    CONTENT(lead),
    CONTENT(content),
    CONTENT(tags),
    COLUMN(version, COLUMN_NUMBER),
    COLUMN(revision, COLUMN_NUMBER),
    COLUMN(created_at, COLUMN_MOMENT),
    COLUMN(updated_at, COLUMN_MOMENT),
    COLUMN(published_at, COLUMN_MOMENT),
    {"summary", COLUMN_STR, offsetof(struct article, summary), true},
    {"rest", COLUMN_STR, offsetof(struct article, rest), true},
    {"extra", COLUMN_STR, offsetof(struct article, extra), true},
};

const struct read_model ARTICLES = {
    .name = "articles",
    .category = "article",
    .path = "/api/articles",
    .imported = "article.imported",
    .direct = offsetof(struct conf, features_articles),
    .columns = COLUMNS,
    .column_count = sizeof COLUMNS / sizeof COLUMNS[0],
    .state_size = sizeof(struct article),
    .lookup = "(SELECT u.username FROM users AS u WHERE u.id = author_id)",
    .lookup_offset = offsetof(struct article, author_name),
    .json = json,
    .whole_json = whole_json,
    .about = about,
    .audience = audience,
    .imported_shows = article_imported_shows,
    .derive = derive,
    .chosen_key = "slug",
    .sides = SIDES,
    .side_count = sizeof SIDES / sizeof SIDES[0],
};
