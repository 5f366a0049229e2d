/* The process of the notifier. See server.h. */
#include "notifier/server.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* BESIDES: connections that are no streams, or not yet, beyond those that may be. */
enum { ACCEPTS = 64, BESIDES = 1000, AGAIN_US = 100000, COMPLAIN_US = 10000000, LAST_RESORT_S = 4 };

const struct conf *server_conf(const struct server *server)
{
    return &atomic_load_explicit(&server->settings, memory_order_acquire)->conf;
}

int64_t server_reached(const struct server *server)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < server->loop_count; i++) {
        int64_t reached = atomic_load(&server->loops[i]->reached);
        least = reached < least ? reached : least;
    }
    return least;
}

size_t server_clients(const struct server *server)
{
    size_t clients = 0;
    for (size_t i = 0; i < server->loop_count; i++)
        clients += atomic_load(&server->loops[i]->clients);
    return clients;
}

/* ---- those that come ---- */

/* Whoever comes by a unix socket comes from this machine. */
static struct address address_of_peer(const struct sockaddr_storage *peer)
{
    struct address address = {{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    if (peer->ss_family == AF_INET)
        memcpy(address.bytes + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    else if (peer->ss_family == AF_INET6)
        memcpy(address.bytes, &((const struct sockaddr_in6 *)peer)->sin6_addr, ADDRESS_SIZE);
    return address;
}

static struct loop *least_busy(struct server *server)
{
    struct loop *found = server->loops[0];
    for (size_t i = 1; i < server->loop_count; i++)
        if (atomic_load(&server->loops[i]->clients) < atomic_load(&found->clients))
            found = server->loops[i];
    return found;
}

/*
 * An event must not wait for the peer to acknowledge the one before it (some 40 ms), and what the system holds for a
 * slow client is bounded. A unix socket knows no TCP_NODELAY, which does no harm.
 */
static void prepare(const struct server *server, int fd)
{
    const int on = 1, room = (int)server_conf(server)->notifier_client_buffer;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

/* Those that wait stay in the backlog until there is room again. status_too: there is none for who looks at it either.
 */
static void pause_accepting(struct server *server, bool status_too, const char *why)
{
    const struct timeval again = {0, AGAIN_US};
    int64_t now = clock_steady();
    if (server->complained == 0 || now - server->complained > COMPLAIN_US) {
        log_error("no clients are taken until some have gone: %s", why);
        server->complained = now;
    }
    event_del(&server->connection);
    if (status_too)
        event_del(&server->status_connection);
    evtimer_add(&server->again, &again);
}

static void on_again(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct server *server = context;
    event_add(&server->connection, NULL);
    event_add(&server->status_connection, NULL);
}

/* False: there is nobody more. */
static bool accept_one(struct server *server, int listen_fd, bool status)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    int fd = accept4(listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            pause_accepting(server, true, strerror(errno));
        return false;
    }
    struct newcomer *newcomer = malloc(sizeof *newcomer);
    if (newcomer == NULL) {
        log_error("no memory for a client");
        close(fd);
        return true;
    }
    prepare(server, fd);
    *newcomer = (struct newcomer){.fd = fd, .address = address_of_peer(&peer), .status = status};
    loop_welcome(least_busy(server), newcomer);
    return true;
}

static void on_connection(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct server *server = context;
    bool status = fd == server->status_fd;
    size_t most = (size_t)server_conf(server)->notifier_clients + BESIDES;
    for (int i = 0; i < ACCEPTS; i++) {
        if (!status && server_clients(server) >= most) {
            pause_accepting(server, false, "there are too many connections");
            return;
        }
        if (!accept_one(server, fd, status))
            return;
    }
}

/* ---- what the source brings ---- */

static void sink_begin(void *context, int64_t position)
{
    struct server *server = context;
    history_forget(server->history);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_begin(server->loops[i], position);
}

static void sink_live(void *context, bool live)
{
    struct server *server = context;
    history_trust_bus(server->history, live);
}

static void sink_bring(void *context, const struct records *records)
{
    struct server *server = context;
    for (size_t i = 0; i < server->loop_count; i++)
        loop_bring(server->loops[i], records);
}

/* ---- signals ---- */

static void on_end(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct server *server = context;
    if (server->ending)
        return;
    server->ending = true;
    log_info("ending: %zu clients are told to come back", server_clients(server));
    for (size_t i = 0; i < server->loop_count; i++)
        loop_end(server->loops[i]);
}

/* What names a server or a socket holds until the next start. */
static bool needs_start(const struct conf *a, const struct conf *b)
{
    return strcmp(a->database_socket, b->database_socket) != 0 || strcmp(a->database_host, b->database_host) != 0 ||
           a->database_port != b->database_port || strcmp(a->database_name, b->database_name) != 0 ||
           strcmp(a->database_user, b->database_user) != 0 || strcmp(a->database_password, b->database_password) != 0 ||
           strcmp(a->nats_url, b->nats_url) != 0 || strcmp(a->nats_stream, b->nats_stream) != 0 ||
           strcmp(a->nats_subject, b->nats_subject) != 0 || strcmp(a->notifier_listen, b->notifier_listen) != 0 ||
           strcmp(a->notifier_status_listen, b->notifier_status_listen) != 0 ||
           strcmp(a->features_articles, b->features_articles) != 0 ||
           strcmp(a->features_accounts, b->features_accounts) != 0 || a->notifier_loops != b->notifier_loops ||
           a->notifier_history_memory != b->notifier_history_memory;
}

/* The old ones stay: another loop may be reading them. They are small, and nobody does this often. */
static void on_reload(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct server *server = context;
    struct err err;
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        return;
    if (conf_load(&settings->conf, server->path, "courant-notifier", &err) != 0) {
        log_error("the configuration stays as it was: %s", err.text);
        free(settings);
        return;
    }
    if (needs_start(&settings->conf, server->first))
        log_warning("the configuration names other servers, sockets, features or sizes: they hold from the next start");
    settings->before = atomic_load(&server->settings);
    atomic_store_explicit(&server->settings, settings, memory_order_release);
    log_info("the configuration was read anew");
}

/* ---- its life ---- */

static int run_loops(struct server *server, struct err *err)
{
    struct event term, interrupt, hangup;
    struct loop *first = server->loops[0];
    event_assign(&server->connection, first->base, server->listen_fd, EV_READ | EV_PERSIST, on_connection, server);
    event_assign(&server->status_connection, first->base, server->status_fd, EV_READ | EV_PERSIST, on_connection,
                 server);
    evtimer_assign(&server->again, first->base, on_again, server);
    evsignal_assign(&term, first->base, SIGTERM, on_end, server);
    evsignal_assign(&interrupt, first->base, SIGINT, on_end, server);
    evsignal_assign(&hangup, first->base, SIGHUP, on_reload, server);
    int status = event_add(&server->connection, NULL) | event_add(&server->status_connection, NULL) |
                 evsignal_add(&term, NULL) | evsignal_add(&interrupt, NULL) | evsignal_add(&hangup, NULL);
    if (status != 0)
        fail(err, ERR_INTERNAL, "the event loop failed");
    for (size_t i = 1; i < server->loop_count && status == 0; i++)
        status = loop_start(server->loops[i], err);
    if (status == 0)
        loop_run(first);
    for (size_t i = 1; i < server->loop_count; i++) {
        loop_end(server->loops[i]);
        loop_join(server->loops[i]);
    }
    event_del(&server->connection);
    event_del(&server->status_connection);
    event_del(&server->again);
    evsignal_del(&term);
    evsignal_del(&interrupt);
    evsignal_del(&hangup);
    return status;
}

/* One for each core, unless the configuration says how many. */
static size_t loops_wanted(const struct conf *conf)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t wanted = conf->notifier_loops > 0 ? conf->notifier_loops : cores;
    return wanted < 1 ? 1 : wanted > LOOPS_MOST ? LOOPS_MOST : (size_t)wanted;
}

static int start(struct server *server, struct err *err)
{
    const struct sink sink = {server, sink_begin, sink_live, sink_bring};
    const struct conf *conf = server->first;
    server->withdrawn = withdrawn_new();
    server->places = places_new();
    if (server->withdrawn == NULL || server->places == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    for (size_t i = 0; i < loops_wanted(conf); i++) {
        if (loop_new(&server->loops[i], server, err) != 0)
            return -1;
        server->loop_count++;
    }
    if (history_start(&server->history, conf, (size_t)conf->notifier_history_memory, loop_answer, err) != 0 ||
        watch_start(&server->watch, server, err) != 0)
        return -1;
    return source_start(&server->source, conf, server->withdrawn, &sink, err);
}

/* A thread that waits for a server that hangs would hold the process for as long. Nothing here is lost with it. */
static void *last_resort(void *context)
{
    const struct server *server = context;
    sleep(LAST_RESORT_S);
    log_warning("ended without waiting for a server that does not answer");
    _exit(server->failed);
}

static void limit_stop(struct server *server)
{
    pthread_t thread;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (pthread_create(&thread, NULL, last_resort, server) == 0)
        pthread_detach(thread);
}

static void stop(struct server *server)
{
    limit_stop(server);
    source_end(server->source);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_close(server->loops[i]);
    source_stop(&server->source);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_clear(server->loops[i]);
    watch_stop(&server->watch);
    history_stop(&server->history);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_free(&server->loops[i]);
    places_free(&server->places);
    withdrawn_free(&server->withdrawn);
    for (struct settings *settings = atomic_load(&server->settings), *before; settings != NULL; settings = before) {
        before = settings->before;
        conf_wipe(&settings->conf);
        free(settings);
    }
}

int server_run(const struct conf *conf, const char *path, int listen_fd, int status_fd)
{
    struct err err;
    struct server server = {
        .path = path, .first = conf, .listen_fd = listen_fd, .status_fd = status_fd, .started = clock_now()};
    struct settings *settings = calloc(1, sizeof *settings);
    int status = -1;
    signal(SIGPIPE, SIG_IGN);
    if (settings == NULL) {
        log_error("no memory");
        return 1;
    }
    unsigned char random[CANARY_KEY / 2];
    crypt_random(random, sizeof random);
    hex_encode(random, sizeof random, server.canary_key);
    settings->conf = *conf;
    atomic_init(&server.settings, settings);
    if (start(&server, &err) == 0)
        status = run_loops(&server, &err);
    if (status != 0)
        log_error("%s", err.text);
    server.failed = status != 0;
    stop(&server);
    libevent_global_shutdown();
    log_info("ended");
    return server.failed;
}
