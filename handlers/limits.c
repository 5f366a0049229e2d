/* Limits on tries: RateLimit headers (draft-ietf-httpapi-ratelimit-headers) and 429. See app.h. */
#include "handlers/app.h"

#include <inttypes.h>
#include <string.h>

struct str app_client(const struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    struct address address =
        address_of_client(request->peer, http_header(request, "x-forwarded-for"), &app_of(exchange)->conf->proxies);
    size_t len = address_significant(&address);
    return (struct str){arena_copy(exchange->arena, (const char *)address.bytes, len), len};
}

/* Whether a limit stands among these already: several buckets may count for one. */
static bool is_named(const struct try *tries, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (tries[i].who != NULL && strcmp(tries[i].limit.name, name) == 0)
            return true;
    return false;
}

static void say(struct exchange *exchange, const struct try *tries, size_t count, const struct nearest *nearest)
{
    struct buf *headers = &exchange->response->headers;
    buf_puts(headers, "RateLimit-Policy: ");
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        const struct limit *limit = &tries[i].limit;
        if (tries[i].who == NULL || limit->quota <= 0 || is_named(tries, i, limit->name))
            continue;
        buf_printf(headers, "%s\"%s\";q=%" PRId64 ";w=%" PRId64, first ? "" : ", ", limit->name, limit->quota,
                   limit->window_s);
        first = false;
    }
    buf_printf(headers, "\r\nRateLimit: \"%s\";r=%" PRId64 ";t=%" PRId64 "\r\n", nearest->try->limit.name,
               nearest->left.left, nearest->left.reset_s);
}

bool app_count(struct exchange *exchange, const struct try *tries, size_t count, struct nearest *nearest)
{
    struct throttle *throttle = app_of(exchange)->throttle;
    for (size_t i = 0; throttle != NULL && i < count; i++) {
        if (tries[i].who == NULL || tries[i].limit.quota <= 0)
            continue;
        struct allowance left = throttle_take(throttle, &tries[i].limit, tries[i].who, tries[i].len);
        const struct allowance *least = &nearest->left;
        if (nearest->try == NULL || (left.refused && !least->refused) ||
            (left.refused == least->refused && left.left < least->left))
            *nearest = (struct nearest){&tries[i], left};
    }
    return !nearest->left.refused;
}

bool app_allow(struct exchange *exchange, const struct try *tries, size_t count, const struct nearest *nearest)
{
    const struct allowance *least = &nearest->left;
    if (nearest->try == NULL)
        return true;
    if (least->refused) {
        http_send_problem(exchange->response, exchange->request, 429, "There were too many tries; wait a while.", NULL);
        http_add_header_number(exchange->response, "Retry-After", least->retry_s > 0 ? least->retry_s : 1);
    }
    say(exchange, tries, count, nearest);
    return !least->refused;
}

bool app_try(struct exchange *exchange, const struct try *tries, size_t count)
{
    struct nearest nearest = {0};
    app_count(exchange, tries, count, &nearest);
    return app_allow(exchange, tries, count, &nearest);
}
