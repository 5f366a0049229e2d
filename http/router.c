/* Routing. See router.h. */
#include "http/router.h"

#include <string.h>

static bool path_matches(const char *pattern, const struct http_request *request, const char **id, const char **item)
{
    *id = *item = NULL;
    for (size_t i = 0; i < request->segment_count; i++) {
        if (*pattern != '/')
            return false;
        pattern++;
        size_t len = strcspn(pattern, "/");
        struct str segment = request->segments[i];
        if (len == 4 && memcmp(pattern, "{id}", 4) == 0 && segment.len > 0)
            *id = segment.data;
        else if (len == 3 && memcmp(pattern, "{n}", 3) == 0 && segment.len > 0)
            *item = segment.data;
        else if (segment.len != len || memcmp(segment.data, pattern, len) != 0)
            return false;
        pattern += len;
    }
    return *pattern == '\0';
}

static bool method_matches(const struct route *route, const char *method)
{
    return strcmp(route->method, strcmp(method, "HEAD") == 0 ? "GET" : method) == 0;
}

static void refuse(const struct route *routes, size_t count, struct exchange *exchange)
{
    struct buf allow;
    const char *id, *item;
    buf_init(&allow, exchange->arena);
    for (size_t i = 0; i < count; i++)
        if (path_matches(routes[i].path, exchange->request, &id, &item))
            buf_printf(&allow, "%s%s, ", routes[i].method, strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
    if (allow.len == 0) {
        http_send_problem(exchange->response, exchange->request, 404, "There is nothing at this path.", NULL);
        return;
    }
    buf_add(&allow, "OPTIONS", sizeof "OPTIONS");
    if (strcmp(exchange->request->method, "OPTIONS") == 0)
        exchange->response->status = 204;
    else
        http_send_problem(exchange->response, exchange->request, 405, "This path does not take this method.", NULL);
    http_add_header(exchange->response, "Allow", buf_str(&allow).data);
}

/* An API token goes as far as its scopes. */
static bool within_scopes(struct exchange *exchange, enum route_access access)
{
    const char *method = exchange->route->method;
    const struct actor scoped = {.permissions = exchange->actor.scopes};
    const char *why = NULL;
    if (exchange->actor.scopes == NULL)
        return true;
    if (access == ROUTE_SESSION)
        why = "An API token does not do this.";
    else if (strcmp(method, "GET") == 0 ? !actor_may(&scoped, "read") : !actor_may(&scoped, "write"))
        why = "This is beyond the scopes of the API token.";
    if (why != NULL)
        http_send_problem(exchange->response, exchange->request, 403, why, NULL);
    return why == NULL;
}

bool router_admit(struct exchange *exchange, enum route_access access)
{
    struct credentials credentials;
    if (!http_credentials(exchange->request, &credentials, exchange->response) ||
        (credentials.token != NULL && !exchange->identify(exchange, &credentials)))
        return false;
    if (access != ROUTE_ANYONE && exchange->actor.user_id == NULL) {
        http_send_unauthorized(exchange->response, exchange->request, "This call needs an access token.");
        return false;
    }
    return within_scopes(exchange, access);
}

void router_dispatch(const struct route *routes, size_t count, struct exchange *exchange)
{
    for (size_t i = 0; i < count; i++) {
        const struct route *route = &routes[i];
        if (!method_matches(route, exchange->request->method) ||
            !path_matches(route->path, exchange->request, &exchange->id, &exchange->item))
            continue;
        exchange->actor = ANONYMOUS;
        exchange->route = route;
        if (route->access == ROUTE_OPEN || router_admit(exchange, route->access))
            route->handle(exchange);
        return;
    }
    refuse(routes, count, exchange);
}
