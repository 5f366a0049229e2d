/* delete_article → article.deleted: whoever could read it is told that it is gone. */
#include "domain/article.h"

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
};

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    const struct article *article = state;
    if (!decision_add(decision, "article.deleted", ARTICLES.audience(article, command->arena),
                      article_id_json(command, article->id)))
        return fail(err, ERR_INTERNAL, "no room for an event");
    return 0;
}

const struct command_type DELETE_ARTICLE = {
    .name = "delete_article",
    .summary = "Takes an article away, for good; the log keeps what it said.",
    .model = &ARTICLES,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .removes = true,
    .needs_version = true,
    .authorise = article_may_delete,
    .decide = decide,
};
