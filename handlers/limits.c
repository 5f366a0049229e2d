/* Limits on tries: RateLimit headers (draft-ietf-httpapi-ratelimit-headers) and 429. See app.h. */
#include "handlers/app.h"

#include <inttypes.h>

struct str app_client(const struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    struct address address =
        address_of_client(request->peer, http_header(request, "x-forwarded-for"), &app_of(exchange)->conf->proxies);
    size_t len = address_significant(&address);
    return (struct str){arena_copy(exchange->arena, (const char *)address.bytes, len), len};
}

static void say(struct exchange *exchange, const struct try *tries, size_t count, const struct try *tightest,
                const struct allowance *left)
{
    struct buf *headers = &exchange->response->headers;
    buf_puts(headers, "RateLimit-Policy: ");
    bool first = true;
    for (size_t i = 0; i < count; i++)
        if (tries[i].who != NULL && tries[i].limit.quota > 0) {
            buf_printf(headers, "%s\"%s\";q=%" PRId64 ";w=%" PRId64, first ? "" : ", ", tries[i].limit.name,
                       tries[i].limit.quota, tries[i].limit.window_s);
            first = false;
        }
    buf_printf(headers, "\r\nRateLimit: \"%s\";r=%" PRId64 ";t=%" PRId64 "\r\n", tightest->limit.name, left->left,
               left->reset_s);
}

bool app_try(struct exchange *exchange, const struct try *tries, size_t count)
{
    const struct try *tightest = NULL;
    struct allowance least = {.left = INT64_MAX};
    for (size_t i = 0; i < count; i++) {
        if (tries[i].who == NULL || tries[i].limit.quota <= 0)
            continue;
        struct allowance left = throttle_take(app_of(exchange)->throttle, &tries[i].limit, tries[i].who, tries[i].len);
        if (tightest == NULL || (left.refused && !least.refused) ||
            (left.refused == least.refused && left.left < least.left)) {
            tightest = &tries[i];
            least = left;
        }
    }
    if (tightest == NULL || app_of(exchange)->throttle == NULL)
        return true;
    if (least.refused) {
        http_send_problem(exchange->response, exchange->request, 429, "There were too many tries; wait a while.", NULL);
        http_add_header_number(exchange->response, "Retry-After", least.retry_s > 0 ? least.retry_s : 1);
    }
    say(exchange, tries, count, tightest, &least);
    return !least.refused;
}
