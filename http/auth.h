/*
 * Who sent a request: from «Authorization: Bearer» or the access cookie, never from both.
 */
#ifndef COURANT_HTTP_AUTH_H
#define COURANT_HTTP_AUTH_H

#include "base/conf.h"
#include "events/actor.h"
#include "http/response.h"

/* Over HTTPS with the prefix __Host-, which no other host or path of the site can set (RFC 6265bis, section 4.1.3.2).
 */
#define ACCESS_COOKIE "courant_access"
#define REFRESH_COOKIE "courant_refresh"

/* What a request brings. Whether it is good for anything is for who has the database (domain/session.h). */
struct credentials {
    const char *token; /* an access token or an API token; NULL: none */
    bool by_cookie;
};

/*
 * Reads the credentials and returns true; or makes response the refusal: 401 for what is none of ours, 403 for a change
 * that a cookie vouches for and another site may have sent.
 */
bool http_credentials(const struct http_request *request, struct credentials *credentials,
                      struct http_response *response);

/* 401 for credentials that are not valid, which never count as none; the challenge says so (RFC 6750, section 3.1). */
void http_refuse_credentials(struct http_response *response, const struct http_request *request,
                             const struct credentials *credentials, const char *detail);

/* A cookie of ours, by its name without the prefix; NULL where there is none. */
const char *http_own_cookie(const struct http_request *request, const char *name);
/* Whether a browser says that a page of this very origin sent the request (Fetch Metadata, or else Origin). */
bool http_same_origin(const struct http_request *request);

/* 401 with its challenge (RFC 6750). */
void http_send_unauthorized(struct http_response *response, const struct http_request *request, const char *detail);

/* Whether cookies reach nobody on the way: over https, and to this very machine. */
bool http_cookies_are_private(const struct http_request *request);
/* Sets a cookie of ours; value "" and seconds 0 take it away. */
void http_set_own_cookie(struct http_response *response, const struct http_request *request, const char *name,
                         const char *value, int64_t seconds);
/* Takes both away. */
void http_drop_cookies(struct http_response *response, const struct http_request *request);

#endif
