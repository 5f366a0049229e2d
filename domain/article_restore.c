/* restore_revision → article.updated + article.revision_created: what an earlier revision said, as a new one. */
#include "base/json.h"
#include "domain/article_query.h"

static const struct field FIELDS[] = {
    {.name = "id", .type = FIELD_ID, .required = true},
    {.name = "revision", .type = FIELD_NUMBER, .required = true, .least = 1},
};

/* A revision never changes, so it may be read before the article is locked. */
static int prepare(struct sql *db, struct command *command, struct err *err)
{
    int64_t number = json_object_get_int64(json_object_object_get(command->payload, "revision"));
    struct article_content *content = arena_alloc(command->arena, sizeof *content);
    if (content == NULL)
        return fail(err, ERR_INTERNAL, "no room for a revision");
    int found = article_revision_content(db, command->arena, command->target, number, content, err);
    command->prepared = found > 0 ? content : NULL;
    return found < 0 ? -1 : 0;
}

static int decide(const void *state, const struct command *command, struct decision *decision, struct err *err)
{
    if (command->prepared == NULL)
        return fail(err, ERR_ABSENT, "The article has no such revision.");
    return article_revise(state, command->prepared, command, decision, err);
}

const struct command_type RESTORE_REVISION = {
    .name = "restore_revision",
    .summary = "Makes what an earlier revision says the newest one.",
    .model = &ARTICLES,
    .fields = FIELDS,
    .field_count = sizeof FIELDS / sizeof FIELDS[0],
    .needs_version = true,
    .prepare = prepare,
    .authorise = article_may_edit,
    .decide = decide,
};
