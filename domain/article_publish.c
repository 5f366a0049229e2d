/*
 * publish_article → article.published: from now on everybody may read it. unpublish_article takes that back. The first
 * time the article is given the slug that it keeps: among drafts a short one would tell what others are writing.
 */
#include "domain/article.h"

#include <string.h>

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
};

static int publish(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const struct article *article = state;
    if (strcmp(article->status, "published") == 0)
        return fail(err, ERR_CONFLICT, "The article is published already.");
    const char *slug =
        article->slug_kept == 0 ? article_new_slug(command, article->content.title, article->id, true) : NULL;
    if (!decision_add(decision, "article.published", article_audience_of_all(article, command->arena),
                      article_published_json(command, article->id, slug)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

/* Everybody is told that it is gone, for everybody could see it. */
static int unpublish(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const struct article *article = state;
    if (strcmp(article->status, "published") != 0)
        return fail(err, ERR_CONFLICT, "The article is a draft already.");
    if (!decision_add(decision, "article.unpublished", article_audience_of_all(article, command->arena),
                      article_id_json(command, article->id)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

const struct command_type PUBLISH_ARTICLE = {
    .name = "publish_article",
    .summary = "Makes a draft public.",
    .model = &ARTICLES,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .needs_version = true,
    .authorise = article_may_edit,
    .decide = publish,
};

const struct command_type UNPUBLISH_ARTICLE = {
    .name = "unpublish_article",
    .summary = "Makes a published article a draft again.",
    .model = &ARTICLES,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .needs_version = true,
    .authorise = article_may_edit,
    .decide = unpublish,
};
