/*
 * What every answer has, whatever it says: headers that keep browsers from misusing it, and what pages of other origins
 * may do with it (the Fetch standard's CORS).
 */
#ifndef COURANT_HTTP_FINISH_H
#define COURANT_HTTP_FINISH_H

#include "base/conf.h"
#include "http/response.h"

/* Once, last. Pages of the origins in http.origins may call with tokens, never with cookies. */
void http_finish(struct http_response *response, const struct http_request *request, const struct conf *conf);

#endif
