/* update_article → article.updated + article.revision_created: the whole content anew. */
#include "domain/article.h"

#include <string.h>

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "title", .type = FIELD_TEXT, .required = true, .least = 1, .most = 200},
    {.name = "subtitle", .type = FIELD_TEXT, .most = 200},
    {.name = "lead", .type = FIELD_TEXT, .most = 1000},
    {.name = "content",
     .type = FIELD_TEXT,
     .required = true,
     .least = 1,
     .most_option = offsetof(struct conf, articles_content_limit)},
    {.name = "tags", .type = FIELD_TEXTS, .least = 1, .most = 40, .items = 20},
};

int article_may_edit(const void *state, const struct command *command, struct err *err)
{
    const struct article *article = state;
    const struct actor *actor = command->actor;
    if (!article_visible(article, actor))
        return fail(err, ERR_ABSENT, "There is no such article.");
    if (actor_may(actor, "article_edit_any") ||
        (actor->user_id != NULL && strcmp(actor->user_id, article->author_id) == 0))
        return 0;
    return fail(err, ERR_DENIED, "Only its author and editors change an article.");
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const struct article *article = state;
    const char *audience = ARTICLES.audience(article, command->arena);
    struct buf buf;
    article_content_json(&buf, article->id, command);
    buf_puts(&buf, "}");
    bool ok = decision_add(decision, "article.updated", audience, buf_str(&buf)) &&
              decision_add(decision, "article.revision_created", audience,
                           article_revision_json(command, article->id, article->revision + 1));
    return ok ? 0 : fail(err, ERR_INTERNAL, "the article is too large");
}

const struct command_type UPDATE_ARTICLE = {
    .name = "update_article",
    .summary = "Replaces what an article says; a new revision.",
    .model = &ARTICLES,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .needs_version = true,
    .authorise = article_may_edit,
    .decide = decide,
};
