/* The loop of the notifier. See server.h. */
#include "notifier/server.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "http/head.h"
#include "notifier/request.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ARENA_LIMIT = 4 * 1024 * 1024, REQUEST_US = 10000000, DRAIN_US = 2000000, ACCEPTS = 64 };

void server_end(struct stream *stream)
{
    struct server *server = stream->server;
    event_del(&stream->readable);
    event_del(&stream->writable);
    close(stream->fd);
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        server->streams = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    server->count--;
    if (stream->wish != NULL)
        stream->wish->client = NULL;
    record_drop(&stream->partial);
    while (stream->batch_at < stream->batch.count)
        record_drop(&stream->batch.items[stream->batch_at++]);
    free(stream->batch.items);
    if (stream->input != NULL)
        crypt_wipe(stream->input, HEAD_MOST);
    free(stream->input);
    free(stream->text);
    free(stream->identity.texts);
    free(stream);
}

/* What comes after the head is of no interest, but its end is. */
static void read_rest(struct stream *stream)
{
    char nothing[1024];
    ssize_t got = recv(stream->fd, nothing, sizeof nothing, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        server_end(stream);
}

/* The head was read, unless it has to wait until it is known who sent it. */
static void answered(struct stream *stream)
{
    arena_reset(stream->server->arena);
    if (stream->asking)
        return;
    crypt_wipe(stream->input, HEAD_MOST);
    free(stream->input);
    stream->input = NULL;
    stream_pump(stream);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct stream *stream = context;
    if (stream->input == NULL || stream->asking) {
        read_rest(stream);
        return;
    }
    ssize_t got = recv(fd, stream->input + stream->input_len, HEAD_MOST - stream->input_len, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            server_end(stream);
        return;
    }
    stream->input_len += (size_t)got;
    size_t head = http_head_length(stream->input, stream->input_len);
    if (head == 0 && stream->input_len < HEAD_MOST)
        return;
    arena_reset(stream->server->arena);
    if (head > 0)
        request_answer(stream, head);
    else
        request_refuse_size(stream);
    answered(stream);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct stream *stream = context;
    stream->blocked = false;
    stream_pump(stream);
}

static bool add_stream(struct server *server, int fd)
{
    struct stream *stream = calloc(1, sizeof *stream);
    char *input = malloc(HEAD_MOST);
    if (stream == NULL || input == NULL) {
        free(stream);
        free(input);
        return false;
    }
    *stream = (struct stream){.server = server,
                              .fd = fd,
                              .input = input,
                              .since = clock_steady(),
                              .identity = {.actor = ANONYMOUS},
                              .next = server->streams};
    if (server->streams != NULL)
        server->streams->previous = stream;
    server->streams = stream;
    server->count++;
    event_assign(&stream->readable, server->base, fd, EV_READ | EV_PERSIST, on_readable, stream);
    event_assign(&stream->writable, server->base, fd, EV_WRITE, on_writable, stream);
    event_add(&stream->readable, NULL);
    return true;
}

static void on_connection(evutil_socket_t listen_fd, short what, void *context)
{
    (void)what;
    struct server *server = context;
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors: those that wait stay in the backlog until one is free. */
            if (errno == EMFILE || errno == ENFILE) {
                log_error("accepting a client: %s", strerror(errno));
                usleep(10000);
            }
            return;
        }
        /* An event must not wait for the peer to acknowledge the one before it (some 40 ms). A unix socket has no such.
         */
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!add_stream(server, fd)) {
            log_error("no memory for a client");
            close(fd);
        }
    }
}

static void for_each(struct server *server, void (*each)(struct stream *))
{
    for (struct stream *stream = server->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        each(stream);
    }
}

/* The last words to a client, and the end of its connection when it has them. */
static void dismiss(struct stream *stream, const char *text)
{
    stream->streaming = false;
    stream->closing = stream_say(stream, text, strlen(text));
    if (stream->closing)
        stream_pump(stream);
    else
        server_end(stream);
}

static const char EXPIRED[] = "event: session-expired\ndata: {}\n\n", LATER[] = "retry: 1500\n\n";

/* A client whose session goes on comes back, and is asked anew what it may. */
static void end_streams(struct server *server, const struct record *record)
{
    for (struct stream *stream = server->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->streaming && record_ends(record, &stream->identity.actor))
            dismiss(stream, record->ending.over ? EXPIRED : LATER);
    }
}

static void take_new(struct server *server)
{
    struct records records;
    int64_t began;
    if (server->hub == NULL) {
        if (!source_began(server->source, &began))
            return;
        server->hub = hub_new(began, (size_t)server->conf->notifier_memory);
        if (server->hub == NULL)
            abort();
    }
    source_take(server->source, &records);
    for (size_t i = 0; i < records.count; i++) {
        if (!hub_add(server->hub, records.items[i]))
            abort(); /* a stream must not skip; after the restart the log has it */
        /* Before anything is sent: who may no longer see it does not. */
        if (records.items[i]->ending.user_id != NULL)
            end_streams(server, records.items[i]);
    }
    free(records.items);
    if (records.count > 0)
        for_each(server, stream_pump);
}

/*
 * It is known who sent the head. What has happened since that was asked, and would have ended the stream, is in the
 * hub.
 */
static void identified(struct server *server, struct stream *stream, struct wish *wish)
{
    stream->wish = NULL;
    stream->asking = false;
    stream->identity = wish->identity;
    wish->identity.texts = NULL;
    for (int64_t p = wish->after + 1; server->hub != NULL && p <= hub_last(server->hub); p++)
        if (p < hub_first(server->hub) || record_ends(hub_at(server->hub, p), &stream->identity.actor))
            stream->identity.outcome = IDENTITY_UNKNOWN;
    arena_reset(server->arena);
    request_answer(stream, stream->head);
    answered(stream);
}

static void on_source(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct server *server = context;
    source_clear(server->source);
    take_new(server);
    for (struct wish *wish = source_answered(server->source), *next; wish != NULL; wish = next) {
        next = wish->next;
        if (wish->client != NULL && wish->token != NULL)
            identified(server, wish->client, wish);
        else if (wish->client != NULL)
            stream_granted(wish->client, wish);
        wish_free(wish);
    }
}

/* A heartbeat moves the browser's Last-Event-ID forward past what it may not see, and shows dead connections. */
static bool heartbeat_due(const struct stream *stream)
{
    return !stream->blocked && stream->partial == NULL && stream->text == NULL &&
           stream->cursor >= hub_last(stream->server->hub) &&
           clock_steady() - stream->since >= stream->server->conf->notifier_heartbeat_s * 1000000;
}

/* Each turn of the clock pumps every stream: so one whose read of the log has failed asks again. */
static void tick_one(struct stream *stream)
{
    char text[48];
    if (!stream->streaming) {
        if (clock_steady() - stream->since > REQUEST_US)
            server_end(stream);
        return;
    }
    if (stream->identity.actor.user_id != NULL && stream->identity.actor.expires <= clock_now()) {
        dismiss(stream, EXPIRED);
        return;
    }
    if (heartbeat_due(stream)) {
        int len = snprintf(text, sizeof text, "id: %" PRId64 "\n\n", stream->cursor);
        stream_say(stream, text, (size_t)len);
    }
    stream_pump(stream);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    for_each(context, tick_one);
}

static void say_goodbye(struct stream *stream)
{
    dismiss(stream, LATER);
}

static void on_end(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct server *server = context;
    const struct timeval grace = {DRAIN_US / 1000000, 0};
    log_info("ending: %zu clients are told to come back", server->count);
    server->ending = true;
    for_each(server, say_goodbye);
    event_base_loopexit(server->base, server->count > 0 ? &grace : NULL);
}

static int loop(struct server *server, struct err *err)
{
    struct event connection, source, tick, term, interrupt;
    const struct timeval second = {1, 0};
    event_assign(&connection, server->base, server->listen_fd, EV_READ | EV_PERSIST, on_connection, server);
    event_assign(&source, server->base, source_descriptor(server->source), EV_READ | EV_PERSIST, on_source, server);
    event_assign(&tick, server->base, -1, EV_PERSIST, on_tick, server);
    evsignal_assign(&term, server->base, SIGTERM, on_end, server);
    evsignal_assign(&interrupt, server->base, SIGINT, on_end, server);
    int status = event_add(&connection, NULL) | event_add(&source, NULL) | event_add(&tick, &second) |
                 evsignal_add(&term, NULL) | evsignal_add(&interrupt, NULL);
    if (status == 0)
        status = event_base_dispatch(server->base);
    event_del(&connection);
    event_del(&source);
    event_del(&tick);
    evsignal_del(&term);
    evsignal_del(&interrupt);
    return status == 0 ? 0 : fail(err, ERR_INTERNAL, "the event loop failed");
}

int server_run(const struct conf *conf, int listen_fd)
{
    struct server server = {.conf = conf, .listen_fd = listen_fd, .arena = arena_new(ARENA_LIMIT)};
    struct err err;
    int status = -1;
    signal(SIGPIPE, SIG_IGN);
    server.base = event_base_new();
    if (server.base == NULL || server.arena == NULL)
        fail(&err, ERR_UNAVAILABLE, "no memory");
    else if (source_start(&server.source, conf, &err) == 0)
        status = loop(&server, &err);
    if (status != 0)
        log_error("%s", err.text);
    for_each(&server, server_end);
    source_stop(&server.source);
    hub_free(&server.hub);
    arena_free(&server.arena);
    if (server.base != NULL)
        event_base_free(server.base);
    libevent_global_shutdown();
    log_info("ended");
    return status != 0;
}
