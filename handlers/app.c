/* The routes, and what several handlers need. See app.h. */
#include "handlers/app.h"

#include "base/json.h"
#include "domain/article.h"
#include "domain/model.h"
#include "domain/session.h"
#include "events/idempotency.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PAGE_STANDARD = 20, PAGE_MOST = 100, HOUR_S = 3600 };

const struct route ROUTES[] = {
    {"GET", "/api/articles", ROUTE_ANYONE, articles_list, NULL},
    {"POST", "/api/articles", ROUTE_USER, commands_at_path, &CREATE_ARTICLE},
    {"GET", "/api/articles/{id}", ROUTE_ANYONE, articles_get, NULL},
    {"PUT", "/api/articles/{id}", ROUTE_USER, commands_at_path, &UPDATE_ARTICLE},
    {"PATCH", "/api/articles/{id}", ROUTE_USER, commands_at_path, &PATCH_ARTICLE},
    {"DELETE", "/api/articles/{id}", ROUTE_USER, commands_at_path, &DELETE_ARTICLE},
    {"POST", "/api/articles/{id}/publish", ROUTE_USER, commands_at_path, &PUBLISH_ARTICLE},
    {"POST", "/api/articles/{id}/unpublish", ROUTE_USER, commands_at_path, &UNPUBLISH_ARTICLE},
    {"GET", "/api/articles/{id}/revisions", ROUTE_ANYONE, revisions_list, NULL},
    {"GET", "/api/articles/{id}/revisions/{n}", ROUTE_ANYONE, revisions_get, NULL},
    {"GET", "/api/articles/{id}/revisions/{n}/diff", ROUTE_ANYONE, revisions_diff, NULL},
    {"POST", "/api/articles/{id}/revisions/{n}/restore", ROUTE_USER, commands_at_path, &RESTORE_REVISION},
    {"GET", "/api/commands", ROUTE_ANYONE, commands_list, NULL},
    {"POST", "/api/commands/{id}", ROUTE_ANYONE, commands_send, NULL},
    {"POST", "/api/users", ROUTE_ANYONE, commands_at_path, &REGISTER_USER},
    {"GET", "/api/users/{id}", ROUTE_USER, users_get, NULL},
    {"PUT", "/api/users/{id}", ROUTE_SESSION, commands_at_path, &UPDATE_USER},
    {"DELETE", "/api/users/{id}", ROUTE_SESSION, commands_at_path, &ERASE_USER},
    {"PUT", "/api/users/{id}/password", ROUTE_SESSION, commands_at_path, &CHANGE_PASSWORD},
    {"PUT", "/api/users/{id}/permissions", ROUTE_SESSION, commands_at_path, &SET_PERMISSIONS},
    {"POST", "/api/auth/login", ROUTE_OPEN, auth_login, NULL},
    {"POST", "/api/auth/refresh", ROUTE_OPEN, auth_refresh, NULL},
    {"POST", "/api/auth/logout", ROUTE_OPEN, auth_logout, NULL},
    {"GET", "/api/auth", ROUTE_USER, auth_whoami, NULL},
    {"GET", "/api/auth/sessions", ROUTE_SESSION, sessions_list, NULL},
    {"DELETE", "/api/auth/sessions/{id}", ROUTE_SESSION, sessions_revoke, NULL},
    {"GET", "/api/auth/tokens", ROUTE_SESSION, tokens_list, NULL},
    {"POST", "/api/auth/tokens", ROUTE_SESSION, tokens_create, NULL},
    {"DELETE", "/api/auth/tokens/{id}", ROUTE_SESSION, tokens_revoke, NULL},
    {"GET", "/api/auth/invitations", ROUTE_SESSION, invitations_list, NULL},
    {"DELETE", "/api/auth/invitations/{id}", ROUTE_SESSION, invitations_revoke, NULL},
    {"POST", "/api/auth/invitations", ROUTE_SESSION, invitations_create, NULL},
    {"GET", "/api/events", ROUTE_USER, audit_list, NULL},
    {"GET", "/feed.atom", ROUTE_OPEN, feed_get, NULL},
    {"GET", "/livez", ROUTE_OPEN, health_live, NULL},
    {"GET", "/readyz", ROUTE_OPEN, health_ready, NULL},
};

const size_t ROUTE_COUNT = sizeof ROUTES / sizeof ROUTES[0];

struct app *app_of(const struct exchange *exchange)
{
    return exchange->app;
}

/* Whether a media type is this one, with parameters or without. */
static bool is_type(const char *type, const char *name)
{
    size_t len = strlen(name);
    return type != NULL && strncasecmp(type, name, len) == 0 && strchr("; \t", type[len]) != NULL;
}

/* Whether a media type names no other charset than the one that JSON has (RFC 8259, section 8.1). */
static bool is_utf8(const char *type)
{
    for (const char *at = strchr(type, ';'); at != NULL; at = strchr(at, ';')) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, "charset=", 8) != 0)
            continue;
        const char *name = at + 8 + (at[8] == '"');
        if (strncasecmp(name, "utf-8", 5) != 0 || strchr("\"; \t", name[5]) == NULL)
            return false;
    }
    return true;
}

/* Whether the body is in UTF-8 and not compressed; otherwise 415 is the answer. */
static bool is_plain(struct exchange *exchange)
{
    const char *coding = http_header(exchange->request, "content-encoding");
    bool coded = coding != NULL && strcasecmp(coding, "identity") != 0;
    if (!coded && is_utf8(http_header(exchange->request, "content-type")))
        return true;
    http_send_problem(exchange->response, exchange->request, 415,
                      coded ? "The body must have no Content-Encoding." : "The body must be in UTF-8.", NULL);
    if (coded)
        http_add_header(exchange->response, "Accept-Encoding", "identity");
    return false;
}

struct json_object *app_read_json(struct exchange *exchange)
{
    struct err err;
    const char *type = http_header(exchange->request, "content-type");
    bool patch = strcmp(exchange->request->method, "PATCH") == 0;
    if (!is_type(type, "application/json") && !(patch && is_type(type, "application/merge-patch+json"))) {
        http_send_problem(
            exchange->response, exchange->request, 415,
            patch ? "The body must be application/merge-patch+json." : "The body must be application/json.", NULL);
        if (patch)
            http_add_header(exchange->response, "Accept-Patch", "application/merge-patch+json, application/json");
        return NULL;
    }
    if (!is_plain(exchange))
        return NULL;
    struct json_object *json = json_read(exchange->request->body.data, exchange->request->body.len, &err);
    struct faults faults = {0};
    if (json == NULL && err.kind == ERR_INVALID)
        fault_add(&faults, "", "must be an object");
    if (json == NULL)
        http_send_error(exchange->response, exchange->request, &err, &faults);
    return json;
}

bool app_database(struct exchange *exchange)
{
    struct app *app = app_of(exchange);
    struct err err;
    int64_t position;
    if (app->db == NULL && sql_open(&app->db, app->conf, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return false;
    }
    /* A pool's first answers name a position too, whatever they are; it is asked for before anything is read. */
    if (known_now(app->known) < 0 && exchange->response->position < 0 &&
        known_position(app->known, app->db, exchange->arena, &position, &err) == 0)
        exchange->response->position = position;
    return true;
}

bool app_identify(struct exchange *exchange, const struct credentials *credentials)
{
    struct app *app = app_of(exchange);
    struct err err;
    if (!app_database(exchange))
        return false;
    if (identify(app->db, app->keys, exchange->arena, credentials->token, &exchange->actor, &err) == 0)
        return true;
    exchange->actor = ANONYMOUS;
    if (err.kind == ERR_DENIED)
        http_refuse_credentials(exchange->response, exchange->request, credentials, err.text);
    else
        http_send_error(exchange->response, exchange->request, &err, NULL);
    return false;
}

struct reading app_reading(const struct exchange *exchange)
{
    const struct app *app = app_of(exchange);
    return (struct reading){app->db, exchange->arena, &exchange->actor, app->known, app->names};
}

static void send_reply(struct http_response *response, const struct outcome *outcome)
{
    struct str body = outcome->reply.body;
    int status = outcome->reply.status;
    if (status == 0)
        return; /* the handler makes it */
    buf_add(&response->headers, outcome->reply.headers.data, outcome->reply.headers.len);
    if (outcome->replayed)
        http_add_header(response, "Idempotency-Replayed", "true");
    response->status = status;
    if (status == 202 && body.len > 0)
        /* The position was not known when the reply was made. */
        body = str_of(arena_printf(response->headers.arena, "%.*s,\"position\":%" PRId64 "}", (int)body.len - 1,
                                   body.data, outcome->position));
    if (status != 204)
        http_send_json(response, status, body);
}

void app_add_etag(struct exchange *exchange, int64_t version)
{
    buf_printf(&exchange->response->headers, "ETag: \"v%" PRId64 "\"\r\n", version);
}

void app_add_position(struct exchange *exchange, int64_t position)
{
    exchange->response->position = position;
}

void app_add_caching(struct exchange *exchange)
{
    http_add_header(exchange->response, "Cache-Control",
                    exchange->actor.user_id != NULL ? "private, no-cache" : "no-cache");
}

/* The version that an entity tag names, 0 for one that is none of ours. Moves on behind it; -1 where there is none. */
static int64_t next_tag(const char **at)
{
    *at += strspn(*at, " \t,");
    if (strncmp(*at, "W/", 2) == 0)
        *at += 2;
    const char *end = **at == '"' ? strchr(*at + 1, '"') : NULL;
    if (end == NULL)
        return -1;
    const struct str number = {*at + 2, (size_t)(end - *at) - 2};
    int64_t version = (*at)[1] == 'v' ? json_whole(number) : 0;
    *at = end + 1;
    return version > 0 ? version : 0;
}

int64_t app_known_version(const struct exchange *exchange)
{
    const char *at = http_header(exchange->request, "if-none-match");
    int64_t version = at != NULL ? next_tag(&at) : 0;
    return version > 0 ? version : 0;
}

bool app_not_modified(const struct exchange *exchange, int64_t version)
{
    const char *at = http_header(exchange->request, "if-none-match");
    if (at == NULL || strcmp(at, "*") == 0)
        return at != NULL;
    for (int64_t named; (named = next_tag(&at)) >= 0;)
        if (named == version)
            return true;
    return false;
}

bool app_query_fits(struct exchange *exchange, const struct faults *faults)
{
    if (faults->count > 0)
        http_send_problem(exchange->response, exchange->request, 422,
                          "The query has faults; errors names each of them.", faults);
    return faults->count == 0;
}

void app_page(struct exchange *exchange, struct faults *faults, size_t *limit, struct str *cursor)
{
    const char *number = http_query(exchange->request, "limit"), *text = http_query(exchange->request, "cursor");
    int64_t value = number != NULL ? json_whole(str_of(number)) : PAGE_STANDARD;
    *limit = PAGE_STANDARD;
    *cursor = (struct str){NULL, 0};
    if (value < 1 || value > PAGE_MOST)
        fault_add(faults, "?limit", "must be a whole number from 1 to 100");
    else
        *limit = (size_t)value;
    if (text == NULL)
        return;
    *cursor = base64url_decode(exchange->arena, text, strlen(text));
    if (cursor->data == NULL || !utf8_valid(cursor->data, cursor->len) ||
        memchr(cursor->data, '\0', cursor->len) != NULL)
        *cursor = STR("");
}

/* What may stand in a target as it is (RFC 3986); a > would end the link. */
static void add_escaped(struct buf *buf, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c > ' ' && c < 0x7f && strchr("\"<>\\^`{|}", c) == NULL)
            buf_add(buf, text + i, 1);
        else
            buf_printf(buf, "%%%02X", c);
    }
}

/* The request's target with another cursor. */
static void add_link(struct exchange *exchange, const char *next)
{
    struct buf *headers = &exchange->response->headers;
    const struct http_request *request = exchange->request;
    buf_puts(headers, "Link: <");
    add_escaped(headers, request->target, strcspn(request->target, "?"));
    buf_puts(headers, "?");
    for (const char *at = request->query; *at != '\0';) {
        size_t len = strcspn(at, "&");
        if (len > 0 && strncmp(at, "cursor=", 7) != 0) {
            add_escaped(headers, at, len);
            buf_puts(headers, "&");
        }
        at += len + (at[len] == '&');
    }
    buf_printf(headers, "cursor=%s>; rel=\"next\"\r\n", next);
}

void app_end_page(struct exchange *exchange, struct buf *buf, struct str next)
{
    struct str cursor = next.data != NULL ? base64url_encode(exchange->arena, next.data, next.len) : next;
    if (cursor.data == NULL) {
        buf_puts(buf, ",\"next\":null}");
        return;
    }
    buf_printf(buf, ",\"next\":\"%s\"}", cursor.data);
    add_link(exchange, cursor.data);
}

/* Whether the client would rather not wait for what the command made. */
static bool prefers_async(const struct exchange *exchange)
{
    const char *prefer = http_header(exchange->request, "prefer");
    for (const char *at = prefer; at != NULL && *at != '\0';) {
        at += strspn(at, ", \t");
        size_t len = strcspn(at, ",; \t=");
        if (len == 13 && strncasecmp(at, "respond-async", len) == 0)
            return true;
        at += strcspn(at, ",");
    }
    return false;
}

static int accept(const struct command *command, struct outcome *outcome, struct err *err)
{
    const struct command_type *type = command->type;
    struct buf headers;
    buf_init(&headers, command->arena);
    const char *id = type->creates ? command->new_id : command->subject != NULL ? command->subject : command->target;
    buf_puts(&headers, "Preference-Applied: respond-async\r\n");
    if (type->creates && type->model->path != NULL)
        buf_printf(&headers, "Location: %s/%s\r\n", type->model->path, command->new_id);
    outcome->reply = (struct reply){
        202, buf_str(&headers), str_of(arena_printf(command->arena, "{\"status\":\"accepted\",\"id\":\"%s\"}", id))};
    return headers.failed || outcome->reply.body.data == NULL ? fail(err, ERR_INTERNAL, "the answer is too large") : 0;
}

int app_respond(const struct command *command, struct outcome *outcome, struct err *err)
{
    struct buf headers, body;
    const struct command_type *type = command->type;
    buf_init(&headers, command->arena);
    buf_init(&body, command->arena);
    if (type->creates && type->model->path != NULL)
        buf_printf(&headers, "Location: %s/%s\r\n", type->model->path, command->new_id);
    if (type->removes) {
        outcome->reply = (struct reply){204, STR(""), STR("")};
        return 0;
    }
    buf_printf(&headers, "ETag: \"v%" PRId64 "\"\r\n", outcome->version);
    type->model->json(&body, outcome->state, command->actor);
    outcome->reply = (struct reply){type->creates ? 201 : 200, buf_str(&headers), buf_str(&body)};
    return headers.failed || body.failed ? fail(err, ERR_INTERNAL, "the answer is too large") : 0;
}

/*
 * Whether the actor may try a command now that says whether a name or an address is taken; otherwise 429 is the answer.
 * Who sees all accounts is not held back.
 */
static bool may_ask_for_names(struct exchange *exchange, const struct command_type *type)
{
    const struct conf *conf = app_of(exchange)->conf;
    struct str client = app_client(exchange);
    const char *user = exchange->actor.user_id;
    const struct try registering[] = {
        {{"register-address", conf->throttle_register_address, HOUR_S}, client.data, client.len}};
    const struct try updating[] = {
        {{"update-account", conf->throttle_update_account, HOUR_S}, user, ID_TEXT - 1},
        {{"update-address", conf->throttle_update_address, HOUR_S}, client.data, client.len}};
    if (user_administers(&exchange->actor))
        return true;
    return type == &REGISTER_USER ? app_try(exchange, registering, 1)
                                  : type != &UPDATE_USER || app_try(exchange, updating, 2);
}

/* An Idempotency-Key that is one, or none; false, and 400 is the answer. */
static bool take_key(struct exchange *exchange, const char **key)
{
    *key = http_header(exchange->request, "idempotency-key");
    if (*key == NULL || idempotency_key_valid(*key))
        return true;
    http_send_problem(exchange->response, exchange->request, 400,
                      "An Idempotency-Key has 1 to 255 visible ASCII characters.", NULL);
    return false;
}

bool app_without_key(struct exchange *exchange)
{
    const char *key;
    if (!take_key(exchange, &key))
        return false;
    if (key != NULL)
        http_send_problem(exchange->response, exchange->request, 400,
                          "This call takes no Idempotency-Key: its answer holds a secret, which is not kept and could "
                          "not be given again.",
                          NULL);
    return key == NULL;
}

/* What the request says of who sends a command and how it is to be answered; false, and the problem is the answer. */
static bool set_context(struct exchange *exchange, struct command *command)
{
    command->conf = app_of(exchange)->conf;
    command->arena = exchange->arena;
    command->source = exchange->actor.scopes != NULL ? "api_token" : "http";
    command->trace_id = exchange->request->trace_id;
    if (command->request.data == NULL)
        command->request = exchange->request->body;
    if (command->actor == NULL)
        command->actor = &exchange->actor;
    if (command->respond == NULL)
        return true;
    if (prefers_async(exchange))
        command->respond = accept;
    command->client = app_client(exchange);
    return take_key(exchange, &command->idempotency_key);
}

bool app_repeated(struct exchange *exchange, struct command *command)
{
    struct app *app = app_of(exchange);
    struct outcome outcome;
    struct faults faults = {0};
    struct err err;
    if (!set_context(exchange, command))
        return true;
    int found = command->idempotency_key != NULL ? idempotency_find(app->db, command, &outcome, &err) : 0;
    if (found > 0) {
        app_add_position(exchange, outcome.position);
        send_reply(exchange->response, &outcome);
    } else if (found < 0) {
        if (err.kind == ERR_INVALID)
            fault_add(&faults, "", err.text);
        http_send_error(exchange->response, exchange->request, &err, &faults);
    }
    return found != 0;
}

/* Commands for which it takes no account, so that one is not what a refusal is about. */
static bool tells_anybody(const struct command_type *type)
{
    return type == &LOG_IN || type == &REGISTER_USER;
}

/* Whether the session that the request came in is over by the command: then its cookies are good for nothing. */
static bool ends_session(const struct exchange *exchange, const struct command *command)
{
    const struct actor *actor = &exchange->actor;
    if (actor->session_id == NULL)
        return false;
    return (command->type == &ERASE_USER && strcmp(command->target, actor->user_id) == 0) ||
           (command->type == &REVOKE_SESSION && strcmp(command->aside, actor->session_id) == 0);
}

bool app_dispatch(struct exchange *exchange, struct command *command)
{
    struct app *app = app_of(exchange);
    struct faults faults;
    struct err err;
    if (!set_context(exchange, command))
        return false;
    if (!may_ask_for_names(exchange, command->type))
        return false;
    /* Before anything is looked up: what is there is none of a stranger's business. */
    if (command->actor->user_id == NULL && !tells_anybody(command->type)) {
        http_send_unauthorized(exchange->response, exchange->request, "This call needs an access token.");
        return false;
    }
    /* Who has somebody's session must not find out the password. */
    const struct try guess = {
        {"login-account", app->conf->throttle_login_account, 60}, exchange->actor.user_id, ID_TEXT - 1};
    if (command->type == &CHANGE_PASSWORD && !app_try(exchange, &guess, 1))
        return false;
    if (!app_database(exchange))
        return false;
    if (command_dispatch(app->db, &MODEL, command, &app->committed, &faults, &err) != 0) {
        app->committed.count = 0;
        if (command->type == &CHANGE_PASSWORD && err.kind != ERR_DENIED)
            throttle_give_back(app->throttle, &guess.limit, guess.who, guess.len);
        if (err.kind == ERR_INVALID && faults.count == 0)
            fault_add(&faults, "", err.text);
        if (err.kind == ERR_STALE && app->committed.version > 0)
            app_add_etag(exchange, app->committed.version);
        if (err.kind == ERR_DENIED && exchange->actor.user_id == NULL)
            http_send_unauthorized(exchange->response, exchange->request, err.text);
        else
            http_send_error(exchange->response, exchange->request, &err, &faults);
        return false;
    }
    if (command->type == &CHANGE_PASSWORD)
        throttle_give_back(app->throttle, &guess.limit, guess.who, guess.len);
    app->commanded = true;
    known_raise(app->known, app->committed.position);
    if (command->type->renames)
        known_names_changed(app->known);
    app_add_position(exchange, app->committed.position);
    send_reply(exchange->response, &app->committed);
    if (ends_session(exchange, command))
        http_drop_cookies(exchange->response, exchange->request);
    return true;
}
