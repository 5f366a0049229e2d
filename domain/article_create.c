/* create_article → article.created + article.revision_created, and article.published where it is to be public. */
#include "base/clock.h"
#include "base/json.h"
#include "domain/article.h"

#include <inttypes.h>

static const struct field FIELDS[] = {
    {.name = "title", .type = FIELD_TEXT, .required = true, .least = 1, .most = 200},
    {.name = "subtitle", .type = FIELD_TEXT, .most = 200},
    {.name = "lead", .type = FIELD_TEXT, .most = 1000},
    {.name = "content",
     .type = FIELD_TEXT,
     .required = true,
     .least = 1,
     .most_option = offsetof(struct conf, articles_content_limit)},
    {.name = "tags", .type = FIELD_TEXTS, .least = 1, .most = 40, .items = 20},
    {.name = "publish", .type = FIELD_FLAG},
};

static int may_create(const void *state, const struct command *command, struct err *err)
{
    (void)state;
    return command->actor->user_id != NULL ? 0 : fail(err, ERR_DENIED, "Only users write articles.");
}

static void add_text(struct buf *buf, struct json_object *payload, const char *name)
{
    struct str text = json_string(payload, name);
    buf_printf(buf, "\"%s\":", name);
    buf_json(buf, text.data != NULL ? text.data : "", text.len);
    buf_puts(buf, ",");
}

static void add_tags(struct buf *buf, struct json_object *tags)
{
    buf_puts(buf, "\"tags\":[");
    for (size_t i = 0; tags != NULL && i < json_object_array_length(tags); i++) {
        struct json_object *tag = json_object_array_get_idx(tags, i);
        buf_puts(buf, i > 0 ? "," : "");
        buf_json(buf, json_object_get_string(tag), (size_t)json_object_get_string_len(tag));
    }
    buf_puts(buf, "]");
}

void article_content_json(struct buf *buf, const char *id, const struct command *command)
{
    buf_init(buf, command->arena);
    buf_printf(buf, "{\"id\":\"%s\",", id);
    add_text(buf, command->payload, "title");
    add_text(buf, command->payload, "subtitle");
    add_text(buf, command->payload, "lead");
    add_text(buf, command->payload, "content");
    add_tags(buf, json_object_object_get(command->payload, "tags"));
}

struct str article_revision_json(const struct command *command, const char *id, int64_t revision)
{
    return str_of(arena_printf(command->arena, "{\"id\":\"%s\",\"revision\":%" PRId64 "}", id, revision));
}

struct str article_published_json(const struct command *command, const char *id)
{
    char stamp[CLOCK_TEXT];
    clock_rfc3339(command->now, stamp);
    return str_of(arena_printf(command->arena, "{\"id\":\"%s\",\"published_at\":\"%s\"}", id, stamp));
}

static struct str created(const struct command *command)
{
    struct buf buf;
    article_content_json(&buf, command->new_id, command);
    buf_printf(&buf, ",\"author\":{\"id\":\"%s\",\"username\":", command->actor->user_id);
    buf_json_z(&buf, command->actor->username);
    buf_puts(&buf, "}}");
    return buf_str(&buf);
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    (void)state;
    bool public = json_object_get_boolean(json_object_object_get(command->payload, "publish"));
    const struct article draft = {.author_id = command->actor->user_id, .status = public ? "published" : "draft"};
    const char *audience = ARTICLES.audience(&draft, command->arena);
    bool ok = decision_add(decision, "article.created", audience, created(command)) &&
              decision_add(decision, "article.revision_created", audience,
                           article_revision_json(command, command->new_id, 1)) &&
              (!public ||
               decision_add(decision, "article.published", audience, article_published_json(command, command->new_id)));
    return ok ? 0 : fail(err, ERR_INTERNAL, "the article is too large");
}

const struct command_type CREATE_ARTICLE = {
    .name = "create_article",
    .summary = "Writes a new article, and publishes it at once if asked to.",
    .model = &ARTICLES,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .creates = true,
    .authorise = may_create,
    .decide = decide,
};
