/* Answering requests. See request.h. */
#include "notifier/request.h"

#include "base/crypt.h"
#include "base/log.h"
#include "http/finish.h"
#include "http/auth.h"
#include "http/head.h"
#include "notifier/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_LEAST_MS = 1000, RETRY_SPREAD_MS = 2000, POSITION_DIGITS = 18 };

static unsigned jittered_retry(void)
{
    unsigned short random;
    crypt_random(&random, sizeof random);
    return RETRY_LEAST_MS + random % RETRY_SPREAD_MS;
}

static void say(struct stream *stream, const struct buf *buf)
{
    struct str text = buf_str(buf);
    if (buf->failed || !stream_say(stream, text.data, text.len))
        log_error("no memory for an answer");
}

/* One answer and the end. */
static void send_response(struct stream *stream, const struct http_request *request, struct http_response *response)
{
    struct buf buf;
    http_finish(response, request, stream->server->conf);
    struct str headers = buf_str(&response->headers);
    buf_init(&buf, stream->server->arena);
    buf_printf(&buf, "HTTP/1.1 %d %s\r\nConnection: close\r\n", response->status, http_reason(response->status));
    buf_add(&buf, headers.data, headers.len);
    if (response->status != 204)
        buf_printf(&buf, "Content-Length: %zu\r\n", response->body.len);
    buf_puts(&buf, "\r\n");
    if (strcmp(request->method, "HEAD") != 0)
        buf_add(&buf, response->body.data, response->body.len);
    say(stream, &buf);
    stream->closing = true;
}

static void begin_text(struct buf *buf, struct stream *stream, const struct http_request *request, int64_t position)
{
    struct http_response response;
    http_response_init(&response, stream->server->arena);
    response.position = position;
    http_add_header(&response, "Content-Type", "text/event-stream");
    http_add_header(&response, "Cache-Control", "no-store");
    http_add_header(&response, "X-Accel-Buffering", "no");
    http_finish(&response, request, stream->server->conf);
    struct str headers = buf_str(&response.headers);
    buf_init(buf, stream->server->arena);
    buf_puts(buf, "HTTP/1.1 200 OK\r\nConnection: close\r\n");
    buf_add(buf, headers.data, headers.len);
    buf_puts(buf, "\r\n");
}

/* EventSource gives up for ever on any status but 200: what will pass is 200, retry and the end. */
static void send_later(struct stream *stream, const struct http_request *request)
{
    struct buf buf;
    begin_text(&buf, stream, request, -1);
    buf_printf(&buf, "retry: %u\n\n", jittered_retry());
    say(stream, &buf);
    stream->closing = true;
}

/* A position from the client: digits only, and no more than a log will ever hold. */
static bool read_position(const char *text, int64_t *position)
{
    size_t len = strlen(text);
    if (len == 0 || len > POSITION_DIGITS || strspn(text, "0123456789") != len)
        return false;
    *position = strtoll(text, NULL, 10);
    return true;
}

/* Last-Event-ID, or else ?after=, or else now. A reconnecting browser sends both: the header is the newer. */
static bool find_cursor(struct stream *stream, const struct http_request *request, struct faults *faults)
{
    const char *last = http_header(request, "last-event-id"), *after = http_query(request, "after");
    stream->cursor = hub_last(stream->server->hub);
    if (last != NULL && *last != '\0' && !read_position(last, &stream->cursor))
        fault_add(faults, "Last-Event-ID", "must be a log position");
    else if ((last == NULL || *last == '\0') && after != NULL && !read_position(after, &stream->cursor))
        fault_add(faults, "?after", "must be a log position");
    return faults->count == 0;
}

static bool find_topic(struct stream *stream, const struct http_request *request, struct http_response *response,
                       const struct actor *actor, struct faults *faults)
{
    const char *topic = http_query(request, "topic");
    stream->topic = TOPIC_ARTICLES;
    if (topic == NULL || strcmp(topic, "articles") == 0)
        return true;
    if (strcmp(topic, "all") != 0) {
        fault_add(faults, "?topic", "is not a known topic; there are articles and all");
        http_send_problem(response, request, 422, "The query has faults; errors names each of them.", faults);
        return false;
    }
    stream->topic = TOPIC_ALL;
    if (actor_may(actor, "audit_read"))
        return true;
    if (actor->user_id == NULL)
        http_send_unauthorized(response, request, "This topic needs an access token.");
    else
        http_send_problem(response, request, 403, "This topic needs the permission audit_read.", NULL);
    return false;
}

/* Asks whom the token stands for; the head waits, and is answered when that is known. */
static void ask_identity(struct stream *stream, const struct http_request *request, const char *token)
{
    struct wish *wish = stream->server->hub != NULL ? wish_new(stream, token) : NULL;
    if (wish == NULL) {
        send_later(stream, request);
        return;
    }
    wish->after = hub_last(stream->server->hub);
    stream->wish = wish;
    stream->asking = true;
    source_ask(stream->server->source, wish);
}

/* Whether the client has come in; otherwise it has its answer. */
static bool admit(struct stream *stream, const struct http_request *request, const struct credentials *credentials,
                  struct http_response *response)
{
    const struct identity *identity = &stream->identity;
    const struct actor scoped = {.permissions = identity->actor.scopes};
    if (identity->outcome == IDENTITY_UNKNOWN) {
        send_later(stream, request);
        return false;
    }
    if (identity->outcome == IDENTITY_REFUSED)
        http_refuse_credentials(response, request, credentials, identity->detail);
    else if (scoped.permissions != NULL && !actor_may(&scoped, "read"))
        http_send_problem(response, request, 403, "This is beyond the scopes of the API token.", NULL);
    else
        return true;
    send_response(stream, request, response);
    return false;
}

static void begin_stream(struct stream *stream, const struct http_request *request)
{
    struct buf buf;
    begin_text(&buf, stream, request, stream->cursor);
    if (strcmp(request->method, "HEAD") == 0) {
        say(stream, &buf);
        stream->closing = true;
        return;
    }
    buf_printf(&buf, "retry: %u\nid: %" PRId64 "\n\n", jittered_retry(), stream->cursor);
    say(stream, &buf);
    stream->heartbeat = stream->cursor;
    stream->streaming = true;
}

static void answer_method(struct stream *stream, const struct http_request *request, struct http_response *response)
{
    bool options = strcmp(request->method, "OPTIONS") == 0;
    if (!options)
        http_send_problem(response, request, 405, "This path does not take this method.", NULL);
    http_add_header(response, "Allow", "GET, HEAD, OPTIONS");
    response->status = options ? 204 : 405;
    send_response(stream, request, response);
}

static void answer_events(struct stream *stream, const struct http_request *request, struct http_response *response)
{
    struct server *server = stream->server;
    struct faults faults = {0};
    struct credentials credentials;
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        answer_method(stream, request, response);
        return;
    }
    if (!http_credentials(request, &credentials, response)) {
        send_response(stream, request, response);
        return;
    }
    if (credentials.token != NULL && stream->head == 0) {
        ask_identity(stream, request, credentials.token);
        return;
    }
    if (credentials.token != NULL && !admit(stream, request, &credentials, response))
        return;
    if (!find_topic(stream, request, response, &stream->identity.actor, &faults)) {
        send_response(stream, request, response);
    } else if (server->hub == NULL || server->count > (size_t)server->conf->notifier_clients) {
        send_later(stream, request);
    } else if (!find_cursor(stream, request, &faults)) {
        http_send_problem(response, request, 422, "The position has faults; errors names each of them.", &faults);
        send_response(stream, request, response);
    } else {
        begin_stream(stream, request);
    }
}

static bool is_path(const struct http_request *request, const char *name)
{
    return request->segment_count == 1 && str_is(request->segments[0], name);
}

static void answer(struct stream *stream, const struct http_request *request, struct http_response *response)
{
    if (is_path(request, "events")) {
        answer_events(stream, request, response);
        return;
    }
    if (is_path(request, "livez"))
        http_send_json(response, 200, STR("{\"status\":\"live\"}"));
    else if (is_path(request, "readyz") && stream->server->hub != NULL)
        http_send_json(response, 200, STR("{\"status\":\"ready\"}"));
    else if (is_path(request, "readyz"))
        http_send_problem(response, request, 503, "The log cannot be followed yet.", NULL);
    else
        http_send_problem(response, request, 404, "There is nothing at this path.", NULL);
    send_response(stream, request, response);
}

static void answer_head(struct stream *stream, struct http_head *head, const struct err *bad)
{
    struct http_response response;
    struct err err;
    struct http_request request = {.method = head->method != NULL ? head->method : "GET",
                                   .target = head->target != NULL ? head->target : "",
                                   .header = http_head_field,
                                   .header_source = head,
                                   .arena = stream->server->arena};
    http_response_init(&response, stream->server->arena);
    int status = http_request_parse(&request, &err);
    if (bad != NULL || status != 0) {
        if (bad == NULL && strlen(request.target) > TARGET_MOST)
            http_send_problem(&response, &request, 414, err.text, NULL);
        else
            http_send_error(&response, &request, bad != NULL ? bad : &err, NULL);
        send_response(stream, &request, &response);
    } else {
        answer(stream, &request, &response);
    }
}

void request_answer(struct stream *stream, size_t head_len)
{
    struct http_head head = {0};
    struct err err;
    /* A copy, for it may be read a second time. */
    char *copy = arena_copy(stream->server->arena, stream->input, head_len);
    bool ok = copy != NULL ? http_head_parse(&head, copy, head_len, &err) == 0
                           : fail(&err, ERR_UNAVAILABLE, "There is no memory for the request.") == 0;
    answer_head(stream, &head, ok ? NULL : &err);
    stream->head = head_len;
}

void request_refuse_size(struct stream *stream)
{
    struct http_head head = {0};
    struct err err;
    fail(&err, ERR_MALFORMED, "The request's head has more than %d bytes.", HEAD_MOST);
    answer_head(stream, &head, &err);
}
