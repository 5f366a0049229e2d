/*
 * From a method and a path to a handler, by one table.
 */
#ifndef COURANT_HTTP_ROUTER_H
#define COURANT_HTTP_ROUTER_H

#include "http/auth.h"

/* One request on its way through a handler. */
struct exchange {
    struct http_request *request;
    struct http_response *response;
    struct actor actor;
    /* Whose these credentials are today: sets actor, or makes the refusal and returns false. */
    bool (*identify)(struct exchange *exchange, const struct credentials *credentials);
    struct arena *arena;
    const char *id, *item; /* what {id}, and what {n} stood for in the path; NULL where the route has none */
    const struct route *route;
    void *app; /* what the program's handlers share */
};

enum route_access {
    ROUTE_OPEN,   /* credentials are not looked at */
    ROUTE_ANYONE, /* credentials may be missing, but not wrong */
    ROUTE_USER,   /* only with valid credentials */
    ROUTE_SESSION /* only in a session: no API token */
};

struct route {
    const char *method;
    const char *path; /* «/api/articles/{id}» */
    enum route_access access;
    void (*handle)(struct exchange *exchange);
    const void *subject; /* for the handler */
};

/*
 * Finds the route, authenticates and calls the handler. 404 without a route for the path, 405 with Allow without one
 * for the method; HEAD is answered where GET is, OPTIONS everywhere.
 */
void router_dispatch(const struct route *routes, size_t count, struct exchange *exchange);

/*
 * Who sends the exchange's request, and whether he may come in at a route with this access; false, and the refusal is
 * the answer. For a handler of an open route, where what it takes instead is not there.
 */
bool router_admit(struct exchange *exchange, enum route_access access);

#endif
