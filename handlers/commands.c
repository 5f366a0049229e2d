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

/* If-Match as the version it names; false, and the problem is the answer. */
static bool expected_of(struct exchange *exchange, int64_t *version)
{
    const char *match = http_header(exchange->request, "if-match");
    *version = NO_VERSION;
    if (match == NULL)
        return true;
    size_t len = strlen(match);
    if (len >= 4 && strncmp(match, "\"v", 2) == 0 && match[len - 1] == '"')
        *version = json_whole((struct str){match + 2, len - 3});
    if (*version < 1)
        http_send_problem(exchange->response, exchange->request, 400, "If-Match must be one ETag such as \"v3\".",
                          NULL);
    return *version >= 1;
}

void commands_send(struct exchange *exchange)
{
    struct command command = {.type = command_named(&MODEL, exchange->id), .respond = app_respond};
    if (command.type == NULL) {
        http_send_problem(exchange->response, exchange->request, 404,
                          "There is no such command; GET /api/commands lists all.", NULL);
        return;
    }
    if (!expected_of(exchange, &command.expected) || (command.payload = app_read_json(exchange)) == NULL)
        return;
    app_dispatch(exchange, &command);
    json_object_put(command.payload);
}
