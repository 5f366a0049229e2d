/* Building answers. See response.h. */
#include "http/response.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

void http_response_init(struct http_response *response, struct arena *arena)
{
    *response = (struct http_response){.status = 500, .position = -1};
    buf_init(&response->headers, arena);
}

void http_add_header(struct http_response *response, const char *name, const char *value)
{
    for (const char *at = value; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
            return;
    buf_printf(&response->headers, "%s: %s\r\n", name, value);
}

void http_add_header_number(struct http_response *response, const char *name, int64_t value)
{
    buf_printf(&response->headers, "%s: %" PRId64 "\r\n", name, value);
}

void http_send_json(struct http_response *response, int status, struct str body)
{
    response->status = status;
    response->body = body;
    http_add_header(response, "Content-Type", "application/json");
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {{200, "OK"},
                   {201, "Created"},
                   {202, "Accepted"},
                   {204, "No Content"},
                   {304, "Not Modified"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {410, "Gone"},
                   {412, "Precondition Failed"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {415, "Unsupported Media Type"},
                   {422, "Unprocessable Content"},
                   {428, "Precondition Required"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Internal Server Error";
}

static void add_faults(struct buf *buf, const struct faults *faults)
{
    buf_puts(buf, ",\"errors\":[");
    for (size_t i = 0; i < faults->count; i++) {
        buf_puts(buf, i > 0 ? ",{\"pointer\":" : "{\"pointer\":");
        buf_json_z(buf, faults->list[i].pointer);
        buf_puts(buf, ",\"detail\":");
        buf_json_z(buf, faults->list[i].detail);
        buf_puts(buf, "}");
    }
    buf_puts(buf, "]");
}

void http_send_problem(struct http_response *response, const struct http_request *request, int status,
                       const char *detail, const struct faults *faults)
{
    struct buf buf;
    buf_init(&buf, response->headers.arena);
    buf_printf(&buf, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":", http_reason(status),
               status);
    buf_json_z(&buf, detail);
    if (status == 422 && faults != NULL && faults->count > 0)
        add_faults(&buf, faults);
    buf_printf(&buf, ",\"trace_id\":\"%s\"}", request->trace_id);
    response->status = status;
    response->body = buf_str(&buf);
    http_add_header(response, "Content-Type", "application/problem+json");
    http_add_header(response, "Cache-Control", "no-store");
    if (status == 503)
        http_add_header(response, "Retry-After", "1");
}

void http_send_error(struct http_response *response, const struct http_request *request, const struct err *err,
                     const struct faults *faults)
{
    static const int statuses[] = {
        [ERR_NONE] = 500,    [ERR_INTERNAL] = 500,  [ERR_MALFORMED] = 400,   [ERR_INVALID] = 422, [ERR_DENIED] = 403,
        [ERR_ABSENT] = 404,  [ERR_GONE] = 410,      [ERR_CONFLICT] = 409,    [ERR_STALE] = 412,   [ERR_UNNAMED] = 428,
        [ERR_DAMAGED] = 500, [ERR_TRANSIENT] = 503, [ERR_UNAVAILABLE] = 503, [ERR_LENGTHY] = 503,
        [ERR_UNKNOWN] = 503};
    int status = statuses[err->kind];
    const char *detail = err->text;
    if (status == 500)
        detail = "The server failed; its log has the cause under this trace_id.";
    else if (err->kind == ERR_UNKNOWN)
        detail =
            "The database went away while this was being done, so it may have been done or not: look before asking "
            "again, or ask again with the same Idempotency-Key.";
    else if (err->kind == ERR_LENGTHY)
        detail = "The search takes too long; one for more, or for rarer words, is quicker.";
    else if (status == 503)
        detail = "A part of the service cannot be reached right now; nothing was changed.";
    if (err->kind == ERR_LENGTHY)
        log_info("%s", err->text);
    else if (status >= 500)
        log_error("%s", err->text);
    http_send_problem(response, request, status, detail, faults);
}
