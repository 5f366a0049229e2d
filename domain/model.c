/* The tables of the domain. See model.h. */
#include "domain/model.h"

#include "domain/article.h"
#include "domain/user.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct event_type EVENTS[] = {
    {"article.created", &ARTICLES, article_created, 2, ARTICLE_CREATED_UP, EVENT_CONTENT, true},
    {"article.deleted", &ARTICLES, article_deleted, 1, NULL, EVENT_WITHDRAWS, false},
    {"article.imported", &ARTICLES, article_imported, 2, ARTICLE_IMPORTED_UP, EVENT_CONTENT, true},
    {"article.published", &ARTICLES, article_published, 2, ARTICLE_PUBLISHED_UP, EVENT_SHOWS | EVENT_CONTENT,
     false}, /* its slug */
    {"article.revision_created", &ARTICLES, article_revision_created, 1, NULL, EVENT_CONTENT, false},
    {"article.unpublished", &ARTICLES, article_unpublished, 1, NULL, EVENT_WITHDRAWS, false},
    {"article.updated", &ARTICLES, article_updated, 1, NULL, EVENT_CONTENT, false},
    {"canary.sent", NULL, NULL, 1, NULL, 0, false},        /* by the notifier, to see whether it arrives */
    {"invitation.created", NULL, NULL, 1, NULL, 0, false}, /* by an operator, of whom there is no account */
    {"user.erased", &USERS, user_erased, 1, NULL, 0, false},
    {"user.imported", &USERS, user_imported, 2, USER_IMPORTED_UP, 0, true},
    {"user.invitation_created", &USERS, user_noted, 1, NULL, 0, false},
    {"user.invitation_revoked", &USERS, user_noted, 1, NULL, 0, false},
    {"user.logged_in", &USERS, user_logged_in, 1, NULL, 0, false},
    {"user.logged_out", &USERS, user_noted, 1, NULL, 0, false},
    {"user.password_changed", &USERS, user_noted, 1, NULL, 0, false},
    {"user.permission_granted", &USERS, user_permission_granted, 1, NULL, 0, false},
    {"user.permission_revoked", &USERS, user_permission_revoked, 1, NULL, 0, false},
    {"user.registered", &USERS, user_registered, 2, USER_REGISTERED_UP, 0, true},
    {"user.session_revoked", &USERS, user_noted, 1, NULL, 0, false},
    {"user.token_created", &USERS, user_noted, 1, NULL, 0, false},
    {"user.token_revoked", &USERS, user_noted, 1, NULL, 0, false},
    {"user.updated", &USERS, user_updated, 1, NULL, 0, false},
};

static const struct read_model *const READ_MODELS[] = {&ARTICLES, &USERS};

static const struct command_type *const COMMANDS[] = {
    &CHANGE_PASSWORD, &CREATE_ARTICLE,   &DELETE_ARTICLE,  &ERASE_USER,        &PATCH_ARTICLE,  &PUBLISH_ARTICLE,
    &REGISTER_USER,   &RESTORE_REVISION, &SET_PERMISSIONS, &UNPUBLISH_ARTICLE, &UPDATE_ARTICLE, &UPDATE_USER,
};

const struct model MODEL = {
    .events = EVENTS,
    .event_count = COUNT(EVENTS),
    .read_models = READ_MODELS,
    .read_model_count = COUNT(READ_MODELS),
    .commands = COMMANDS,
    .command_count = COUNT(COMMANDS),
    .withdrawn = articles_withdrawn,
};
