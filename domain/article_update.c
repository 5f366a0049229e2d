/* update_article and patch_article → article.updated + article.revision_created: what an article says, anew. */
#include "domain/article.h"

#include <string.h>

#define CONTENT_LIMIT .most_option = offsetof(struct conf, articles_content_limit)

static const struct field WHOLE[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "title", .type = FIELD_TEXT, .required = true, .least = 1, .most = 200},
    {.name = "subtitle", .type = FIELD_TEXT, .most = 200},
    {.name = "lead", .type = FIELD_TEXT, .most = 1000},
    {.name = "content", .type = FIELD_TEXT, .required = true, .least = 1, CONTENT_LIMIT},
    {.name = "tags", .type = FIELD_TEXTS, .least = 1, .most = 40, .items = 20},
};

static const struct field PATCH[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "title", .type = FIELD_TEXT, .least = 1, .most = 200},
    {.name = "subtitle", .type = FIELD_TEXT, .nullable = true, .most = 200},
    {.name = "lead", .type = FIELD_TEXT, .nullable = true, .most = 1000},
    {.name = "content", .type = FIELD_TEXT, .least = 1, CONTENT_LIMIT},
    {.name = "tags", .type = FIELD_TEXTS, .nullable = true, .least = 1, .most = 40, .items = 20},
};

/* Whether the actor could know of the article at all. */
static int is_there(const struct article *article, const struct actor *actor, struct err *err)
{
    if (!article_visible(article, actor))
        return fail(err, ERR_ABSENT, "There is no such article.");
    return strcmp(article->status, "deleted") != 0 ? 0 : fail(err, ERR_GONE, "The article was deleted.");
}

static bool is_author(const struct article *article, const struct actor *actor)
{
    return actor->user_id != NULL && strcmp(actor->user_id, article->author_id) == 0;
}

int article_may_edit(const void *state, const struct command *command, struct err *err)
{
    const struct article *article = state;
    if (is_there(article, command->actor, err) != 0)
        return -1;
    return actor_may(command->actor, "article_edit_any") || is_author(article, command->actor)
               ? 0
               : fail(err, ERR_DENIED, "Only its author and editors change an article.");
}

int article_may_delete(const void *state, const struct command *command, struct err *err)
{
    const struct article *article = state;
    if (is_there(article, command->actor, err) != 0)
        return -1;
    return actor_may(command->actor, "article_delete_any") || is_author(article, command->actor)
               ? 0
               : fail(err, ERR_DENIED, "Only its author and who has article_delete_any delete an article.");
}

static bool is_same(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* What says the same as before is no event: who saves without a change finds no other version. */
static int revise(const struct article *article, const struct article_content *content, const struct command *command,
                  struct decision *decision, struct err *err)
{
    const struct article_content *before = &article->content;
    bool same = is_same(before->title, content->title) && is_same(before->subtitle, content->subtitle) &&
                is_same(before->lead, content->lead) && is_same(before->content, content->content) &&
                is_same(before->tags, content->tags);
    return same ? 0 : article_revise(article, content, command, decision, err);
}

static int replace(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    struct article_content content;
    if (!article_content_of(command, NULL, &content))
        return fail(err, ERR_INTERNAL, "the article is too large");
    return revise(state, &content, command, decision, err);
}

static int patch(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    struct article_content content;
    if (!article_content_of(command, state, &content))
        return fail(err, ERR_INTERNAL, "the article is too large");
    return revise(state, &content, command, decision, err);
}

const struct command_type UPDATE_ARTICLE = {
    .name = "update_article",
    .summary = "Replaces what an article says; a new revision, where it says something else.",
    .model = &ARTICLES,
    .fields = WHOLE,
    .field_count = sizeof WHOLE / sizeof WHOLE[0],
    .needs_version = true,
    .authorise = article_may_edit,
    .decide = replace,
};

const struct command_type PATCH_ARTICLE = {
    .name = "patch_article",
    .summary = "Changes some of what an article says (RFC 7396); a new revision, where it says something else.",
    .model = &ARTICLES,
    .fields = PATCH,
    .field_count = sizeof PATCH / sizeof PATCH[0],
    .needs_version = true,
    .authorise = article_may_edit,
    .decide = patch,
};
