/* Credentials of a request. See auth.h. */
#include "http/auth.h"

#include "base/clock.h"
#include "http/token.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

void http_send_unauthorized(struct http_response *response, const struct http_request *request, const char *detail)
{
    http_send_problem(response, request, 401, detail, NULL);
    http_add_header(response, "WWW-Authenticate", "Bearer realm=\"courant\"");
}

/* Whether a browser says that a page of this very origin sent the request (Fetch Metadata, or else Origin). */
static bool same_origin(const struct http_request *request)
{
    const char *site = http_header(request, "sec-fetch-site"), *origin = http_header(request, "origin");
    const char *host = http_header(request, "host");
    if (site != NULL)
        return strcmp(site, "same-origin") == 0;
    const char *origin_host = origin != NULL ? strstr(origin, "://") : NULL;
    return origin_host != NULL && host != NULL && strcasecmp(origin_host + 3, host) == 0;
}

static bool changes(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0;
}

bool http_authenticate(const struct http_request *request, const struct conf *conf, struct actor *actor,
                       struct http_response *response)
{
    struct err err;
    const char *authorization = http_header(request, "authorization"), *token;
    *actor = ANONYMOUS;
    if (authorization != NULL) {
        if (strncasecmp(authorization, "Bearer ", 7) != 0) {
            http_send_unauthorized(response, request, "Only the Bearer scheme is known here.");
            return false;
        }
        token = authorization + 7 + strspn(authorization + 7, " ");
    } else if ((token = http_cookie(request, ACCESS_COOKIE)) == NULL) {
        return true;
    } else if (changes(request->method) && !same_origin(request)) {
        http_send_problem(response, request, 403, "A change that a cookie vouches for must come from this site.", NULL);
        return false;
    }
    if (token_read(request->arena, conf->auth_secret, token, clock_now(), actor, &err) == 0)
        return true;
    *actor = ANONYMOUS;
    http_send_unauthorized(response, request, err.text);
    /* A browser cannot take back a cookie that scripts do not see. */
    if (authorization == NULL)
        http_set_access_cookie(response, request, "", 0);
    return false;
}

void http_set_access_cookie(struct http_response *response, const struct http_request *request, const char *token,
                            int64_t seconds)
{
    buf_printf(&response->headers, "Set-Cookie: %s=%s; Path=/; Max-Age=%" PRId64 "; HttpOnly; SameSite=Lax%s\r\n",
               ACCESS_COOKIE, token, seconds, request->secure ? "; Secure" : "");
}
