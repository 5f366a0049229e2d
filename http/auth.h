/*
 * Who sent a request: from «Authorization: Bearer» or the access cookie, never from both.
 */
#ifndef COURANT_HTTP_AUTH_H
#define COURANT_HTTP_AUTH_H

#include "base/conf.h"
#include "events/actor.h"
#include "http/response.h"

#define ACCESS_COOKIE "courant_access"

/*
 * Fills actor (ANONYMOUS where there are no credentials) and returns true; or makes response the refusal: 401 for
 * credentials that are not valid, which never count as none, 403 for a change that a cookie vouches for and another
 * site may have sent.
 */
bool http_authenticate(const struct http_request *request, const struct conf *conf, struct actor *actor,
                       struct http_response *response);

/* 401 with its challenge (RFC 6750). */
void http_send_unauthorized(struct http_response *response, const struct http_request *request, const char *detail);

/* Sets the access cookie; token "" and seconds 0 take it away. */
void http_set_access_cookie(struct http_response *response, const struct http_request *request, const char *token,
                            int64_t seconds);

#endif
