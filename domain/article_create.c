/* create_article → article.created + article.revision_created, and article.published where it is to be public. */
#include "base/json.h"
#include "domain/article.h"

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

static struct str created(const struct command *command, const struct article_content *content, bool public)
{
    struct buf buf;
    const char *slug = article_new_slug(command, content->title, command->new_id, public);
    buf_init(&buf, command->arena);
    article_content_json(&buf, command->new_id, content);
    buf_printf(&buf, ",\"slug\":\"%s\",\"author\":{\"id\":\"%s\"}}", slug != NULL ? slug : "", command->actor->user_id);
    return buf_str(&buf);
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    (void)state;
    struct article_content content;
    bool public = json_object_get_boolean(json_object_object_get(command->payload, "publish"));
    const struct article draft = {.author_id = command->actor->user_id, .status = public ? "published" : "draft"};
    const char *audience = ARTICLES.audience(&draft, command->arena);
    bool ok = article_content_of(command, NULL, &content) &&
              decision_add(decision, "article.created", audience, created(command, &content, public)) &&
              decision_add(decision, "article.revision_created", audience,
                           article_revision_json(command, command->new_id, 1)) &&
              (!public || decision_add(decision, "article.published", audience,
                                       article_published_json(command, command->new_id, NULL)));
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
