/* The tables of the domain. See model.h. */
#include "domain/model.h"

#include "domain/article.h"
#include "domain/user.h"

static const struct event_type EVENTS[] = {
    {"article.created", article_created},
    {"article.published", article_published},
    {"article.revision_created", article_revision_created},
    {"user.logged_in", user_logged_in},
    {"user.permission_granted", user_permission_granted},
    {"user.registered", user_registered},
};

const struct model MODEL = {EVENTS, sizeof EVENTS / sizeof EVENTS[0]};

#define READ_MODEL(table, key)                                                                                         \
    {                                                                                                                  \
        table, key, "SELECT * FROM " table " WHERE " key " > ? ORDER BY " key " LIMIT ?"                               \
    }

const struct read_model READ_MODELS[] = {
    READ_MODEL("articles", "id"),
    READ_MODEL("users", "id"),
};

const size_t READ_MODEL_COUNT = sizeof READ_MODELS / sizeof READ_MODELS[0];
