/*
 * FastCGI messages: a request out of libfcgi's parameters and stream, an answer into it.
 */
#ifndef COURANT_FCGI_MESSAGE_H
#define COURANT_FCGI_MESSAGE_H

#include "base/conf.h"
#include "http/response.h"

#include <fcgiapp.h>

/*
 * Fills request from the parameters and reads the body to its end, in the arena. 0, or the status of the refusal (400,
 * 413) and err says why; the request can be answered all the same.
 */
int message_read(FCGX_Request *fcgi, const struct conf *conf, struct arena *arena, struct http_request *request,
                 struct err *err);

/* Writes the answer, without its body for HEAD. False when the web server has gone. */
bool message_write(FCGX_Request *fcgi, const struct http_request *request, const struct http_response *response);

#endif
