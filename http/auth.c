/* Credentials of a request. See auth.h. */
#include "http/auth.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static void challenge(struct http_response *response, const struct http_request *request, const char *detail,
                      const char *scheme)
{
    http_send_problem(response, request, 401, detail, NULL);
    http_add_header(response, "WWW-Authenticate", scheme);
}

void http_send_unauthorized(struct http_response *response, const struct http_request *request, const char *detail)
{
    challenge(response, request, detail, "Bearer realm=\"courant\"");
}

bool http_same_origin(const struct http_request *request)
{
    const char *site = http_header(request, "sec-fetch-site"), *origin = http_header(request, "origin");
    const char *host = http_header(request, "host");
    if (site != NULL)
        return strcmp(site, "same-origin") == 0;
    const char *own = request->secure ? "https://" : "http://";
    return origin != NULL && host != NULL && strncasecmp(origin, own, strlen(own)) == 0 &&
           strcasecmp(origin + strlen(own), host) == 0;
}

static const char *prefix_of(const struct http_request *request)
{
    return request->secure ? "__Host-" : "";
}

const char *http_own_cookie(const struct http_request *request, const char *name)
{
    const char *whole = arena_printf(request->arena, "%s%s", prefix_of(request), name);
    const char *value = whole != NULL ? http_cookie(request, whole) : NULL;
    return value != NULL && *value != '\0' ? value : NULL;
}

static bool changes(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0;
}

bool http_credentials(const struct http_request *request, struct credentials *credentials,
                      struct http_response *response)
{
    const char *authorization = http_header(request, "authorization");
    *credentials = (struct credentials){0};
    if (authorization != NULL && strncasecmp(authorization, "Bearer ", 7) != 0) {
        http_send_unauthorized(response, request, "Only the Bearer scheme is known here.");
        return false;
    }
    if (authorization != NULL) {
        credentials->token = authorization + 7 + strspn(authorization + 7, " ");
        return true;
    }
    credentials->token = http_own_cookie(request, ACCESS_COOKIE);
    credentials->by_cookie = credentials->token != NULL;
    if (credentials->by_cookie && changes(request->method) && !http_same_origin(request)) {
        http_send_problem(response, request, 403, "A change that a cookie vouches for must come from this site.", NULL);
        return false;
    }
    return true;
}

void http_refuse_credentials(struct http_response *response, const struct http_request *request,
                             const struct credentials *credentials, const char *detail)
{
    challenge(response, request, detail, "Bearer realm=\"courant\", error=\"invalid_token\"");
    /* A browser cannot take back a cookie that scripts do not see. */
    if (credentials->by_cookie)
        http_set_own_cookie(response, request, ACCESS_COOKIE, "", 0);
}

static bool is_loopback(const char *host)
{
    static const struct networks LOOPBACK = {2,
                                             {{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}}, 104},
                                              {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, 128}}};
    struct address address;
    size_t name = strcspn(host, ":");
    if (name == 9 && strncasecmp(host, "localhost", 9) == 0)
        return true;
    return address_parse(host, strlen(host), &address) && networks_have(&LOOPBACK, &address);
}

bool http_cookies_are_private(const struct http_request *request)
{
    const char *host = http_header(request, "host");
    /* A proxy asks this machine for somebody who is elsewhere. */
    bool forwarded = http_header(request, "x-forwarded-for") != NULL || http_header(request, "forwarded") != NULL;
    return request->secure || (host != NULL && is_loopback(host) && !forwarded);
}

void http_set_own_cookie(struct http_response *response, const struct http_request *request, const char *name,
                         const char *value, int64_t seconds)
{
    buf_printf(&response->headers, "Set-Cookie: %s%s=%s; Path=/; Max-Age=%" PRId64 "; HttpOnly; SameSite=Lax%s\r\n",
               prefix_of(request), name, value, seconds, request->secure ? "; Secure" : "");
}

void http_drop_cookies(struct http_response *response, const struct http_request *request)
{
    http_set_own_cookie(response, request, ACCESS_COOKIE, "", 0);
    http_set_own_cookie(response, request, REFRESH_COOKIE, "", 0);
}
