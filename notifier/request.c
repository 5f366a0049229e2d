/* Answering requests. See request.h. */
#include "notifier/request.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "http/auth.h"
#include "http/finish.h"
#include "http/head.h"
#include "notifier/canary.h"
#include "notifier/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    RETRY_LEAST_MS = 1000,
    RETRY_SPREAD_MS = 2000,
    FULL_LEAST_MS = 5000,
    FULL_SPREAD_MS = 10000,
    POSITION_DIGITS = 18
};

/* What is answered, and with what. */
struct turn {
    struct stream *stream;
    struct http_request request;
    struct http_response response;
};

static const struct conf *conf_of(const struct stream *stream)
{
    return server_conf(stream->loop->server);
}

static void count(struct stream *stream, enum counter counter)
{
    count_add(&stream->loop->counters, counter, 1);
}

unsigned request_retry(unsigned least, unsigned spread)
{
    uint32_t random;
    crypt_random(&random, sizeof random);
    return least + random % (spread + 1);
}

static void say(struct stream *stream, const struct buf *buf)
{
    struct str text = buf_str(buf);
    if (buf->failed || !stream_say(stream, text.data, text.len))
        log_error("no memory for an answer");
}

static bool asks_for_head(const struct turn *turn)
{
    return strcmp(turn->request.method, "HEAD") == 0;
}

/* One answer and the end. */
static void send_response(struct turn *turn)
{
    struct buf buf;
    struct http_response *response = &turn->response;
    const struct hub *hub = turn->stream->loop->hub;
    response->position = hub != NULL ? hub_last(hub) : -1;
    http_finish(response, &turn->request, conf_of(turn->stream));
    struct str headers = buf_str(&response->headers);
    buf_init(&buf, turn->stream->loop->arena);
    buf_printf(&buf, "HTTP/1.1 %d %s\r\nConnection: close\r\n", response->status, http_reason(response->status));
    buf_add(&buf, headers.data, headers.len);
    if (response->status != 204)
        buf_printf(&buf, "Content-Length: %zu\r\n", response->body.len);
    buf_puts(&buf, "\r\n");
    if (!asks_for_head(turn))
        buf_add(&buf, response->body.data, response->body.len);
    say(turn->stream, &buf);
    turn->stream->closing = true;
}

static void refuse(struct turn *turn, int status, const char *detail, const struct faults *faults)
{
    http_send_problem(&turn->response, &turn->request, status, detail, faults);
    send_response(turn);
}

static void refuse_request(struct turn *turn, int status, const char *detail, const struct faults *faults)
{
    count(turn->stream, COUNT_REFUSED_REQUEST);
    refuse(turn, status, detail, faults);
}

static void begin_text(struct buf *buf, struct turn *turn, int64_t position)
{
    struct http_response *response = &turn->response;
    http_response_init(response, turn->stream->loop->arena);
    response->position = position;
    http_add_header(response, "Content-Type", "text/event-stream");
    http_add_header(response, "Cache-Control", "no-store");
    http_add_header(response, "X-Accel-Buffering", "no");
    http_finish(response, &turn->request, conf_of(turn->stream));
    struct str headers = buf_str(&response->headers);
    buf_init(buf, turn->stream->loop->arena);
    buf_puts(buf, "HTTP/1.1 200 OK\r\nConnection: close\r\n");
    buf_add(buf, headers.data, headers.len);
    buf_puts(buf, "\r\n");
}

static void send_later(struct turn *turn, unsigned least, unsigned spread)
{
    struct buf buf;
    begin_text(&buf, turn, turn->stream->loop->hub != NULL ? hub_last(turn->stream->loop->hub) : -1);
    if (!asks_for_head(turn))
        buf_printf(&buf, "retry: %u\n\n", request_retry(least, spread));
    say(turn->stream, &buf);
    turn->stream->closing = true;
}

/* A temporary refusal. */
static void later(struct turn *turn)
{
    count(turn->stream, COUNT_REFUSED_TEMPORARY);
    send_later(turn, RETRY_LEAST_MS, RETRY_SPREAD_MS);
}

/* ---- what it asks for ---- */

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
static bool find_cursor(struct turn *turn, struct faults *faults)
{
    struct stream *stream = turn->stream;
    const char *last = http_header(&turn->request, "last-event-id"), *after = http_query(&turn->request, "after");
    stream->cursor = hub_last(stream->loop->hub);
    if (last != NULL && *last != '\0' && !read_position(last, &stream->cursor))
        fault_add(faults, "Last-Event-ID", "must be a log position");
    else if ((last == NULL || *last == '\0') && after != NULL && !read_position(after, &stream->cursor))
        fault_add(faults, "?after", "must be a log position");
    if (faults->count > 0)
        refuse_request(turn, 422, "The position has faults; errors names each of them.", faults);
    return faults->count == 0;
}

static bool may_follow(struct turn *turn, const struct topic *topic)
{
    struct arena *arena = turn->stream->loop->arena;
    const struct actor *reader = stream_reader(turn->stream);
    const char *needs = topic_needs(topic, reader);
    if (needs == NULL)
        return true;
    count(turn->stream, COUNT_REFUSED_TOPIC);
    if (reader->user_id == NULL) {
        http_send_unauthorized(&turn->response, &turn->request, "This topic needs an access token.");
        send_response(turn);
    } else {
        refuse(turn, 403, arena_printf(arena, "This topic needs %s.", needs), NULL);
    }
    return false;
}

/* All of ?topic=; false, and it is answered. */
static bool find_topics(struct turn *turn)
{
    struct stream *stream = turn->stream;
    struct topic topics[TOPICS_MOST];
    struct faults faults = {0};
    size_t count = 0;
    const char *text;
    for (; (text = http_query_nth(&turn->request, "topic", count)) != NULL && faults.count == 0; count++)
        if (count == TOPICS_MOST)
            fault_add(&faults, "?topic", "may be there 20 times at most");
        else if (!topic_read(text, &topics[count]))
            fault_add(&faults, "?topic", arena_printf(stream->loop->arena, "is no topic; there are %s", TOPIC_NAMES));
    if (faults.count > 0) {
        refuse_request(turn, 422, "The query has faults; errors names each of them.", &faults);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!may_follow(turn, &topics[i]))
            return false;
    free(stream->topics);
    stream->topics = count > 0 ? malloc(count * sizeof *topics) : NULL;
    stream->topic_count = count;
    if (stream->topics != NULL)
        memcpy(stream->topics, topics, count * sizeof *topics);
    else if (count > 0)
        later(turn);
    return count == 0 || stream->topics != NULL;
}

static void ask(struct turn *turn, enum wish_kind kind, const char *token)
{
    struct stream *stream = turn->stream;
    struct wish *wish = stream->loop->hub != NULL ? wish_new(kind, stream->loop, stream, token) : NULL;
    if (wish == NULL) {
        later(turn);
        return;
    }
    wish->after = hub_last(stream->loop->hub);
    stream->wish = wish;
    stream->asking = true;
    history_ask(stream->loop->server->history, wish);
}

/* Whether the client has come in; otherwise it has its answer. */
static bool admit(struct turn *turn, const struct credentials *credentials)
{
    struct stream *stream = turn->stream;
    const struct identity *identity = stream->identity;
    const struct actor scoped = {.permissions = identity->actor.scopes};
    if (identity->outcome == IDENTITY_UNKNOWN) {
        later(turn);
        return false;
    }
    if (identity->outcome == IDENTITY_FOUND && (scoped.permissions == NULL || actor_may(&scoped, "read")))
        return true;
    count(stream, COUNT_REFUSED_CREDENTIALS);
    if (identity->outcome == IDENTITY_REFUSED) {
        http_refuse_credentials(&turn->response, &turn->request, credentials, identity->detail);
        send_response(turn);
    } else {
        refuse(turn, 403, "This is beyond the scopes of the API token.", NULL);
    }
    return false;
}

/* Who the client is: false when that is asked, or it was refused. */
static bool identify_client(struct turn *turn)
{
    struct credentials credentials;
    if (!http_credentials(&turn->request, &credentials, &turn->response)) {
        count(turn->stream, COUNT_REFUSED_CREDENTIALS);
        send_response(turn);
        return false;
    }
    /* A browser forgets the access cookie when its time is over: whoever could have another is not nobody. */
    if (credentials.token == NULL && http_own_cookie(&turn->request, REFRESH_COOKIE) != NULL) {
        count(turn->stream, COUNT_REFUSED_CREDENTIALS);
        http_refuse_credentials(&turn->response, &turn->request, &credentials, "The access token is over: refresh it.");
        send_response(turn);
        return false;
    }
    if (credentials.token == NULL)
        return true;
    if (turn->stream->identity == NULL) {
        ask(turn, WISH_IDENTITY, credentials.token);
        return false;
    }
    return admit(turn, &credentials);
}

/* What the proxies say of whom they ask for: all lines, for some add one of their own. */
static const char *forwarded_for(const struct turn *turn)
{
    const struct http_head *head = turn->request.header_source;
    struct buf buf;
    buf_init(&buf, turn->request.arena);
    for (size_t i = 0; i < head->count; i++)
        if (strcmp(head->fields[i].name, "x-forwarded-for") == 0)
            buf_printf(&buf, "%s%s", buf.len > 0 ? ", " : "", head->fields[i].value);
    buf_add(&buf, "", 1);
    return buf.failed || buf.len == 1 ? NULL : buf.data;
}

/* Where it sits, or it is told to come back. */
static bool take_place(struct turn *turn)
{
    static const enum counter counters[] = {[PLACE_NONE] = COUNT_REFUSED_ALL,
                                            [PLACE_NONE_OF_USER] = COUNT_REFUSED_USER,
                                            [PLACE_NONE_OF_ADDRESS] = COUNT_REFUSED_ADDRESS,
                                            [PLACE_NO_MEMORY] = COUNT_REFUSED_TEMPORARY};
    struct stream *stream = turn->stream;
    const char *canary = http_header(&turn->request, CANARY_HEADER);
    /* Ours: it must not take the place of a client, nor find none. */
    if (canary != NULL && strlen(canary) == CANARY_KEY &&
        crypt_same(canary, stream->loop->server->canary_key, CANARY_KEY))
        return true;
    stream->address = address_behind(&stream->address, forwarded_for(turn), &conf_of(stream)->notifier_networks);
    enum place place =
        places_take(stream->loop->server->places, conf_of(stream), stream_reader(stream)->user_id, &stream->address);
    stream->counted = place == PLACE_FREE;
    if (stream->counted)
        return true;
    count(stream, counters[place]);
    send_later(turn, FULL_LEAST_MS, FULL_SPREAD_MS);
    return false;
}

/* A time for its end, so that not all of those that came together go together. */
static int64_t end_time(const struct stream *stream)
{
    int64_t age = conf_of(stream)->notifier_stream_age_s * 1000000;
    return clock_steady() + age / 4 * 3 + (int64_t)((double)request_retry(0, 1000) / 1000 * (double)(age / 4));
}

/* The log may be shorter than what its client has seen, when a database was restored. */
static void begin_stream(struct turn *turn, bool reset)
{
    struct buf buf;
    struct stream *stream = turn->stream;
    if (reset)
        stream->cursor = hub_last(stream->loop->hub);
    begin_text(&buf, turn, stream->cursor);
    if (asks_for_head(turn)) {
        say(stream, &buf);
        stream->closing = true;
        return;
    }
    if (!take_place(turn))
        return;
    buf_printf(&buf, "retry: %u\nid: %" PRId64 "\n", request_retry(RETRY_LEAST_MS, RETRY_SPREAD_MS), stream->cursor);
    if (reset)
        buf_printf(&buf, "event: reset\ndata: {\"position\":%" PRId64 "}\n", stream->cursor);
    buf_puts(&buf, "\n");
    say(stream, &buf);
    stream->ends = end_time(stream);
    stream->streaming = true;
    count(stream, COUNT_OPENED);
    if (reset)
        count(stream, COUNT_RESETS);
}

static void answer_method(struct turn *turn)
{
    bool options = strcmp(turn->request.method, "OPTIONS") == 0;
    if (!options) {
        count(turn->stream, COUNT_REFUSED_REQUEST);
        http_send_problem(&turn->response, &turn->request, 405, "This path does not take this method.", NULL);
    }
    http_add_header(&turn->response, "Allow", "GET, HEAD, OPTIONS");
    turn->response.status = options ? 204 : 405;
    send_response(turn);
}

static void answer_events(struct turn *turn)
{
    struct stream *stream = turn->stream;
    struct faults faults = {0};
    if (!identify_client(turn) || !find_topics(turn))
        return;
    if (stream->loop->hub == NULL || stream->loop->ending) {
        later(turn);
    } else if (find_cursor(turn, &faults)) {
        /* Ahead of us by what was committed a moment ago, or ahead of the log. */
        if (stream->cursor > hub_last(stream->loop->hub) && stream->head < 0)
            ask(turn, WISH_HEAD, NULL);
        else
            begin_stream(turn, stream->head >= 0 && stream->cursor > stream->head);
    }
}

/* ---- status ---- */

static void answer_ready(struct turn *turn)
{
    struct stream *stream = turn->stream;
    if (stream->ready != NULL && !stream->ready->failed) {
        http_send_json(&turn->response, 200, str_of(stream->ready->detail));
        send_response(turn);
        return;
    }
    if (stream->ready != NULL) {
        refuse(turn, 503, stream->ready->detail, NULL);
        return;
    }
    struct wish *wish = stream->loop->hub != NULL ? wish_new(WISH_READY, stream->loop, stream, NULL) : NULL;
    if (wish == NULL) {
        refuse(turn, 503, "The log cannot be followed yet.", NULL);
        return;
    }
    stream->wish = wish;
    stream->asking = true;
    watch_ask(stream->loop->server->watch, wish);
}

static void answer_live(struct turn *turn)
{
    http_send_json(&turn->response, 200, STR("{\"status\":\"live\"}"));
    send_response(turn);
}

static void answer_metrics(struct turn *turn)
{
    struct buf buf;
    buf_init(&buf, turn->stream->loop->arena);
    metrics_text(turn->stream->loop->server, &buf);
    turn->response.status = 200;
    turn->response.body = buf_str(&buf);
    http_add_header(&turn->response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    http_add_header(&turn->response, "Cache-Control", "no-store");
    send_response(turn);
}

static const struct path {
    const char *name;
    bool status; /* is at the address for status */
    void (*answer)(struct turn *turn);
} PATHS[] = {
    {"events", false, answer_events},
    {"livez", true, answer_live},
    {"readyz", true, answer_ready},
    {"metrics", true, answer_metrics},
};

static void answer(struct turn *turn)
{
    const struct http_request *request = &turn->request;
    if (turn->stream->overdue) {
        if (turn->stream->status)
            refuse(turn, 503, "What this asks for does not answer.", NULL);
        else
            later(turn);
        return;
    }
    for (size_t i = 0; i < sizeof PATHS / sizeof PATHS[0]; i++) {
        if (PATHS[i].status != turn->stream->status || request->segment_count != 1 ||
            !str_is(request->segments[0], PATHS[i].name))
            continue;
        if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
            answer_method(turn);
        else
            PATHS[i].answer(turn);
        return;
    }
    refuse_request(turn, 404, "There is nothing at this path.", NULL);
}

/* Whether one of our proxies says that it was asked over https. */
static bool is_secure(const struct stream *stream, const struct http_head *head)
{
    const char *proto = http_head_field(head, "x-forwarded-proto");
    return proto != NULL && strcasecmp(proto, "https") == 0 &&
           networks_have(&conf_of(stream)->notifier_networks, &stream->address);
}

static void answer_head(struct stream *stream, struct http_head *head, const struct err *bad)
{
    struct err err;
    struct turn turn = {.stream = stream,
                        .request = {.method = head->method != NULL ? head->method : "GET",
                                    .target = head->target != NULL ? head->target : "",
                                    .header = http_head_field,
                                    .header_source = head,
                                    .secure = is_secure(stream, head),
                                    .arena = stream->loop->arena}};
    http_response_init(&turn.response, stream->loop->arena);
    int status = http_request_parse(&turn.request, &err);
    if (bad == NULL && status == 0) {
        answer(&turn);
        return;
    }
    count(stream, COUNT_REFUSED_REQUEST);
    if (bad == NULL && strlen(turn.request.target) > TARGET_MOST)
        http_send_problem(&turn.response, &turn.request, 414, err.text, NULL);
    else
        http_send_error(&turn.response, &turn.request, bad != NULL ? bad : &err, NULL);
    send_response(&turn);
}

void request_answer(struct stream *stream, const char *text, size_t len)
{
    struct http_head head = {0};
    struct err err;
    /* A copy, for it may be read a second time. */
    char *copy = arena_copy(stream->loop->arena, text, len);
    bool ok = copy != NULL ? http_head_parse(&head, copy, len, &err) == 0
                           : fail(&err, ERR_UNAVAILABLE, "There is no memory for the request.") == 0;
    answer_head(stream, &head, ok ? NULL : &err);
}

void request_refuse_size(struct stream *stream)
{
    struct http_head head = {0};
    struct err err;
    fail(&err, ERR_MALFORMED, "The request's head has more than %d bytes.", HEAD_MOST);
    answer_head(stream, &head, &err);
}
