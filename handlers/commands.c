/* /api/commands: every command that clients may send, by its name and with its schema. */
#include "base/buf.h"
#include "base/json.h"
#include "domain/model.h"
#include "handlers/app.h"

#include <string.h>

void commands_list(struct exchange *exchange)
{
    struct buf buf;
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "{\"items\":[");
    for (size_t i = 0; i < MODEL.command_count; i++) {
        const struct command_type *type = MODEL.commands[i];
        buf_printf(&buf, "%s{\"type\":\"%s\",\"summary\":\"%s\",\"if_match\":%s,\"schema\":", i > 0 ? "," : "",
                   type->name, type->summary, type->needs_version ? "true" : "false");
        schema_json(type->fields, type->field_count, app_of(exchange)->conf, &buf);
        buf_puts(&buf, "}");
    }
    buf_puts(&buf, "],\"next\":null}");
    http_add_header(exchange->response, "Cache-Control", "no-cache");
    http_send_json(exchange->response, 200, buf_str(&buf));
}

/* An entity tag (RFC 9110, section 8.8.3) of the form "…", weak or not. */
static bool is_etag(const char *text)
{
    if (strncmp(text, "W/", 2) == 0)
        text += 2;
    size_t len = strlen(text);
    return len >= 2 && text[0] == '"' && strchr(text + 1, '"') == text + len - 1;
}

/*
 * If-Match as the version it names: 0, which no thing has, for a tag that is none of ours or weak, and what is there
 * now for *. False, and the problem is the answer.
 */
static bool expected_of(struct exchange *exchange, struct command *command)
{
    const char *match = http_header(exchange->request, "if-match");
    command->expected = NO_VERSION;
    if (match == NULL)
        return true;
    size_t len = strlen(match);
    if (strcmp(match, "*") == 0) {
        command->expected = ANY_VERSION;
    } else if (is_etag(match)) {
        int64_t version = strncmp(match, "\"v", 2) == 0 ? json_whole((struct str){match + 2, len - 3}) : 0;
        command->expected = version > 0 ? version : 0;
    } else {
        http_send_problem(exchange->response, exchange->request, 400, "If-Match must be one ETag such as \"v3\", or *.",
                          NULL);
        return false;
    }
    return true;
}

void commands_send(struct exchange *exchange)
{
    struct command command = {.type = command_named(&MODEL, exchange->id), .respond = app_respond};
    if (command.type == NULL) {
        http_send_problem(exchange->response, exchange->request, 404,
                          "There is no such command; GET /api/commands lists all.", NULL);
        return;
    }
    if (!expected_of(exchange, &command) || (command.payload = app_read_json(exchange)) == NULL)
        return;
    app_dispatch(exchange, &command);
    json_object_put(command.payload);
}

/* The body, or an empty payload for a command that needs nothing but what the path says. */
static struct json_object *payload_of(struct exchange *exchange, const struct command_type *type)
{
    if (exchange->request->body.len == 0 && !type->creates && (type->field_count == 1 || exchange->item != NULL))
        return json_object_new_object();
    return app_read_json(exchange);
}

/* The number in the path becomes the payload's second field; false, and the problem is the answer. */
static bool add_item(struct exchange *exchange, struct command *command)
{
    struct faults faults = {0};
    int64_t number = json_whole(str_of(exchange->item));
    if (!json_object_is_type(command->payload, json_type_object) || json_object_object_length(command->payload) > 0) {
        fault_add(&faults, "", "must be empty: the path says it all");
        http_send_problem(exchange->response, exchange->request, 422,
                          "The request has faults; errors names each of them.", &faults);
        return false;
    }
    if (number < 1) {
        http_send_problem(exchange->response, exchange->request, 404, "The article has no such revision.", NULL);
        return false;
    }
    json_object_object_add(command->payload, command->type->fields[1].name, json_object_new_int64(number));
    command->request = str_of(exchange->item);
    return true;
}

void commands_at_path(struct exchange *exchange)
{
    struct command command = {.type = exchange->route->subject, .target = exchange->id, .respond = app_respond};
    if (exchange->id != NULL && !id_valid(exchange->id, strlen(exchange->id))) {
        const char *kind = command.type->model->category;
        const char *detail = arena_printf(exchange->arena, "There is no such %s: a change names it by its id.", kind);
        http_send_problem(exchange->response, exchange->request, 404, detail, NULL);
        return;
    }
    if (!expected_of(exchange, &command) || (command.payload = payload_of(exchange, command.type)) == NULL)
        return;
    if (exchange->item == NULL || add_item(exchange, &command))
        app_dispatch(exchange, &command);
    json_object_put(command.payload);
}
