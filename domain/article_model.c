/* The read model of the article streams: the table `articles`, and an article as JSON. */
#include "domain/article.h"

#include <inttypes.h>
#include <string.h>

static void add_text(struct buf *buf, const char *name, struct str text)
{
    buf_printf(buf, ",\"%s\":", name);
    buf_json(buf, text.data, text.len);
}

static void add_members(struct buf *buf, const struct article *article, bool with_content)
{
    buf_printf(buf, "{\"id\":\"%s\"", article->id);
    add_text(buf, "title", article->title);
    add_text(buf, "subtitle", article->subtitle);
    add_text(buf, "lead", article->lead);
    if (with_content)
        add_text(buf, "content", article->content);
    buf_puts(buf, ",\"tags\":");
    buf_add(buf, article->tags.data, article->tags.len);
    buf_printf(buf, ",\"author\":{\"id\":\"%s\",\"username\":", article->author_id);
    buf_json_z(buf, article->author_name);
    buf_printf(buf, "},\"status\":\"%s\"", article->status);
    buf_puts(buf, ",\"published_at\":");
    buf_moment(buf, article->published_at);
    buf_printf(buf, ",\"version\":%" PRId64, article->version);
    buf_puts(buf, ",\"created_at\":");
    buf_moment(buf, article->created_at);
    buf_puts(buf, ",\"updated_at\":");
    buf_moment(buf, article->updated_at);
}

void article_json(struct buf *buf, const struct article *article, bool with_content)
{
    add_members(buf, article, with_content);
    buf_puts(buf, "}");
}

static void json(struct buf *buf, const void *state)
{
    article_json(buf, state, true);
}

static void whole_json(struct buf *buf, const void *state)
{
    const struct article *article = state;
    add_members(buf, article, true);
    buf_printf(buf, ",\"revision\":%" PRId64 "}", article->revision);
}

static const char *audience(const void *state, struct arena *arena)
{
    const struct article *article = state;
    if (strcmp(article->status, "published") == 0)
        return "public";
    return arena_printf(arena, "user:%s permission:article_edit_any", article->author_id);
}

bool article_visible(const struct article *article, const struct actor *reader)
{
    return strcmp(article->status, "published") == 0 || actor_may(reader, "article_edit_any") ||
           (reader->user_id != NULL && strcmp(reader->user_id, article->author_id) == 0);
}

#define COLUMN(name, type)                                                                                             \
    {                                                                                                                  \
#name, type, offsetof(struct article, name)                                                                    \
    }

static const struct column COLUMNS[] = {
    COLUMN(id, COLUMN_TEXT),           COLUMN(author_id, COLUMN_TEXT),      COLUMN(author_name, COLUMN_TEXT),
    COLUMN(status, COLUMN_TEXT),       COLUMN(title, COLUMN_STR),           COLUMN(subtitle, COLUMN_STR),
    COLUMN(lead, COLUMN_STR),          COLUMN(content, COLUMN_STR),         COLUMN(tags, COLUMN_STR),
    COLUMN(version, COLUMN_NUMBER),    COLUMN(revision, COLUMN_NUMBER),     COLUMN(created_at, COLUMN_MOMENT),
    COLUMN(updated_at, COLUMN_MOMENT), COLUMN(published_at, COLUMN_MOMENT),
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
    .json = json,
    .whole_json = whole_json,
    .audience = audience,
};
