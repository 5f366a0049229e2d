/* The routes, and what several handlers need. See app.h. */
#include "handlers/app.h"

#include "base/json.h"
#include "domain/model.h"
#include "events/idempotency.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

const struct route ROUTES[] = {
    {"POST", "/api/articles", ROUTE_USER, articles_create},
    {"GET", "/api/articles", ROUTE_ANYONE, articles_list},
    {"GET", "/api/articles/{id}", ROUTE_ANYONE, articles_get},
    {"GET", "/api/commands", ROUTE_ANYONE, commands_list},
    {"POST", "/api/commands/{id}", ROUTE_ANYONE, commands_send},
    {"POST", "/api/auth/login", ROUTE_OPEN, auth_login},
    {"GET", "/api/auth", ROUTE_USER, auth_whoami},
    {"GET", "/livez", ROUTE_OPEN, health_live},
    {"GET", "/readyz", ROUTE_OPEN, health_ready},
};

const size_t ROUTE_COUNT = sizeof ROUTES / sizeof ROUTES[0];

struct app *app_of(const struct exchange *exchange)
{
    return exchange->app;
}

struct json_object *app_read_json(struct exchange *exchange)
{
    struct err err;
    const char *type = http_header(exchange->request, "content-type");
    if (type == NULL || strncasecmp(type, "application/json", 16) != 0 || strchr("; \t", type[16]) == NULL) {
        http_send_problem(exchange->response, exchange->request, 415, "The body must be application/json.", NULL);
        return NULL;
    }
    struct json_object *json = json_read(exchange->request->body.data, exchange->request->body.len, &err);
    if (json == NULL)
        http_send_error(exchange->response, exchange->request, &err, NULL);
    return json;
}

bool app_database(struct exchange *exchange)
{
    struct app *app = app_of(exchange);
    struct err err;
    if (app->db != NULL || sql_open(&app->db, app->conf, &err) == 0)
        return true;
    http_send_error(exchange->response, exchange->request, &err, NULL);
    return false;
}

static void send_reply(struct http_response *response, const struct outcome *outcome)
{
    if (outcome->reply.status == 0)
        return; /* the handler makes it */
    buf_add(&response->headers, outcome->reply.headers.data, outcome->reply.headers.len);
    if (outcome->replayed)
        http_add_header(response, "Idempotency-Replayed", "true");
    http_send_json(response, outcome->reply.status, outcome->reply.body);
}

void app_add_etag(struct exchange *exchange, int64_t version)
{
    buf_printf(&exchange->response->headers, "ETag: \"v%" PRId64 "\"\r\n", version);
}

int app_respond(const struct command *command, struct outcome *outcome, struct err *err)
{
    struct buf headers, body;
    const struct read_model *model = command->type->model;
    buf_init(&headers, command->arena);
    if (command->type->creates && model->path != NULL)
        buf_printf(&headers, "Location: %s/%s\r\n", model->path, command->new_id);
    buf_printf(&headers, "ETag: \"v%" PRId64 "\"\r\n", outcome->version);
    buf_init(&body, command->arena);
    model->json(&body, outcome->state);
    outcome->reply = (struct reply){command->type->creates ? 201 : 200, buf_str(&headers), buf_str(&body)};
    return headers.failed || body.failed ? fail(err, ERR_INTERNAL, "the answer is too large") : 0;
}

bool app_dispatch(struct exchange *exchange, struct command *command)
{
    struct app *app = app_of(exchange);
    struct faults faults;
    struct err err;
    command->conf = app->conf;
    command->arena = exchange->arena;
    command->source = "http";
    command->trace_id = exchange->request->trace_id;
    command->request = exchange->request->body;
    if (command->respond != NULL)
        command->idempotency_key = http_header(exchange->request, "idempotency-key");
    if (command->actor == NULL)
        command->actor = &exchange->actor;
    if (command->idempotency_key != NULL && !idempotency_key_valid(command->idempotency_key)) {
        http_send_problem(exchange->response, exchange->request, 400,
                          "An Idempotency-Key has 1 to 255 visible ASCII characters.", NULL);
        return false;
    }
    if (!app_database(exchange))
        return false;
    if (command_dispatch(app->db, &MODEL, command, &app->committed, &faults, &err) != 0) {
        app->committed.count = 0;
        if (err.kind == ERR_STALE)
            app_add_etag(exchange, app->committed.version);
        if (err.kind == ERR_DENIED && command->actor->user_id == NULL)
            http_send_unauthorized(exchange->response, exchange->request, "This call needs an access token.");
        else
            http_send_error(exchange->response, exchange->request, &err, &faults);
        return false;
    }
    http_add_header_number(exchange->response, "Courant-Position", app->committed.position);
    send_reply(exchange->response, &app->committed);
    return true;
}
