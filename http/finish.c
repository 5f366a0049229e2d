/* See finish.h. */
#include "http/finish.h"

#include <string.h>

/* Whether the origin is one of the words of the option, or the option is *. */
static bool is_allowed(const char *origins, const char *origin)
{
    size_t len = strlen(origin);
    for (const char *at = origins; *at != '\0'; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        if ((word == 1 && *at == '*') || (word == len && memcmp(at, origin, len) == 0))
            return true;
        at += word;
    }
    return false;
}

static bool is_preflight(const struct http_request *request)
{
    return strcmp(request->method, "OPTIONS") == 0 && http_header(request, "access-control-request-method") != NULL;
}

static void share(struct http_response *response, const struct http_request *request, const char *origin)
{
    http_add_header(response, "Access-Control-Allow-Origin", origin);
    http_add_header(response, "Access-Control-Expose-Headers",
                    "Allow, Courant-Position, ETag, Idempotency-Replayed, Link, Location, Preference-Applied, "
                    "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate");
    if (!is_preflight(request))
        return;
    http_add_header(response, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    http_add_header(response, "Access-Control-Allow-Headers",
                    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, "
                    "traceparent, tracestate");
    http_add_header(response, "Access-Control-Max-Age", "7200");
}

void http_finish(struct http_response *response, const struct http_request *request, const struct conf *conf)
{
    const char *origin = http_header(request, "origin");
    bool allowed = origin != NULL && is_allowed(conf->http_origins, origin);
    buf_puts(&response->headers, "X-Content-Type-Options: nosniff\r\n"
                                 "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
                                 "Referrer-Policy: same-origin\r\n");
    http_add_header(response, "Vary",
                    conf->http_origins[0] != '\0' ? "Authorization, Cookie, Origin" : "Authorization, Cookie");
    if (response->position >= 0)
        http_add_header_number(response, "Courant-Position", response->position);
    if (allowed)
        share(response, request, origin);
}
