/* What a writer chooses, from payloads into events; and slugs. */
#include "base/clock.h"
#include "base/json.h"
#include "base/slug.h"
#include "domain/article.h"

#include <inttypes.h>
#include <string.h>

static struct str tags_json(struct arena *arena, struct json_object *tags)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_puts(&buf, "[");
    for (size_t i = 0; tags != NULL && i < json_object_array_length(tags); i++) {
        struct json_object *tag = json_object_array_get_idx(tags, i);
        buf_puts(&buf, i > 0 ? "," : "");
        buf_json(&buf, json_object_get_string(tag), (size_t)json_object_get_string_len(tag));
    }
    buf_puts(&buf, "]");
    return buf.failed ? (struct str){NULL, 0} : buf_str(&buf);
}

bool article_content_of(const struct command *command, const struct article *before, struct article_content *content)
{
    static const char *const names[] = {"title", "subtitle", "lead", "content"};
    struct str *const texts[] = {&content->title, &content->subtitle, &content->lead, &content->content};
    struct json_object *value;
    *content = before != NULL ? before->content : (struct article_content){0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (json_object_object_get_ex(command->payload, names[i], &value))
            *texts[i] = value != NULL ? json_string(command->payload, names[i]) : STR("");
        if (texts[i]->data == NULL)
            *texts[i] = STR("");
    }
    if (before == NULL || json_object_object_get_ex(command->payload, "tags", &value))
        content->tags = tags_json(command->arena, json_object_object_get(command->payload, "tags"));
    return content->tags.data != NULL;
}

static void add_text(struct buf *buf, const char *name, struct str text)
{
    buf_printf(buf, ",\"%s\":", name);
    buf_json(buf, text.data, text.len);
}

void article_content_json(struct buf *buf, const char *id, const struct article_content *content)
{
    buf_printf(buf, "{\"id\":\"%s\"", id);
    add_text(buf, "title", content->title);
    add_text(buf, "subtitle", content->subtitle);
    add_text(buf, "lead", content->lead);
    add_text(buf, "content", content->content);
    buf_puts(buf, ",\"tags\":");
    buf_add(buf, content->tags.data, content->tags.len);
}

struct str article_revision_json(const struct command *command, const char *id, int64_t revision)
{
    return str_of(arena_printf(command->arena, "{\"id\":\"%s\",\"revision\":%" PRId64 "}", id, revision));
}

struct str article_published_json(const struct command *command, const char *id, const char *slug)
{
    char stamp[CLOCK_TEXT];
    struct buf buf;
    clock_rfc3339(command->now, stamp);
    buf_init(&buf, command->arena);
    buf_printf(&buf, "{\"id\":\"%s\",\"published_at\":\"%s\"", id, stamp);
    if (slug != NULL)
        buf_printf(&buf, ",\"slug\":\"%s\"", slug);
    buf_puts(&buf, "}");
    return buf_str(&buf);
}

struct str article_id_json(const struct command *command, const char *id)
{
    return str_of(arena_printf(command->arena, "{\"id\":\"%s\"}", id));
}

const char *article_slug(struct arena *arena, struct str title, const char *id, int clashes)
{
    static const size_t digits[] = {0, 4, 8, 12};
    struct str base = slug_of(arena, title);
    if (base.data == NULL || strlen(id) != ID_LEN)
        return base.data != NULL ? "" : NULL;
    size_t count = digits[clashes < 3 ? clashes : 3];
    const char *slug = base.data;
    if (count > 0 || base.len == 0)
        slug = arena_printf(arena, "%s-%s", base.len > 0 ? base.data : "article",
                            id + ID_LEN - (count > 0 ? count : digits[1]));
    /* It must not look like an id. */
    return slug != NULL && id_valid(slug, strlen(slug)) ? arena_printf(arena, "article-%s", slug) : slug;
}

const char *article_new_slug(const struct command *command, struct str title, const char *id, bool public)
{
    /* After so many clashes somebody has taken them on purpose; the digits of this command nobody foresees. */
    if (command->clashes > 3)
        return article_slug(command->arena, title, command->event_ids[0], 3);
    /* A draft's has so many that nobody finds it out by making articles of that title which take it. */
    return article_slug(command->arena, title, id, public ? command->clashes : 3);
}

/* Whether the slug is one that a draft of this title could have been given. */
static bool slug_fits(const struct article *article, struct str title, struct arena *arena)
{
    for (int clashes = 1; clashes <= 3; clashes++) {
        const char *slug = article_slug(arena, title, article->id, clashes);
        if (slug != NULL && strcmp(slug, article->slug) == 0)
            return true;
    }
    return false;
}

static void add_slug(struct buf *buf, const struct article *article, struct str title, const struct command *command)
{
    if (article->slug_kept != 0 || slug_fits(article, title, command->arena))
        return;
    const char *slug = article_new_slug(command, title, article->id, false);
    buf_printf(buf, ",\"slug\":\"%s\"", slug != NULL ? slug : "");
}

int article_revise(const struct article *article, const struct article_content *content, const struct command *command,
                   struct decision *decision, struct err *err)
{
    const char *audience = ARTICLES.audience(article, command->arena);
    struct buf buf;
    buf_init(&buf, command->arena);
    article_content_json(&buf, article->id, content);
    add_slug(&buf, article, content->title, command);
    buf_puts(&buf, "}");
    bool ok = decision_add(decision, "article.updated", audience, buf_str(&buf)) &&
              decision_add(decision, "article.revision_created", audience,
                           article_revision_json(command, article->id, article->revision + 1));
    return ok ? 0 : fail(err, ERR_INTERNAL, "the article is too large");
}
