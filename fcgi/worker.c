/* The loop of a worker. See worker.h. */
#include "fcgi/worker.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "domain/session.h"
#include "events/idempotency.h"
#include "events/known.h"
#include "fcgi/message.h"
#include "handlers/app.h"
#include "http/finish.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ARENA_LIMIT = 128 * 1024 * 1024, COMPLAIN_US = 10000000, LEARN_US = 1000000, TIDY_EVERY = 256 };
enum { LAST_US = 4000000, REST_MS = 100 };

static const int64_t TIDY_US = (int64_t)3600 * 1000000;

struct worker {
    const struct conf *conf;
    int listen_fd, epoll_fd;
    struct lane *lane;
    struct arena *arena;
    struct bus *bus;
    struct app app;
    FCGX_Request fcgi;
    int known_fd; /* the connection whose timeout is set */
    int64_t next_complaint, next_question, next_tidying;
    int64_t ends_by; /* clock_steady; 0: nobody has asked it to end */
    unsigned commands;
    bool secret; /* the request may have brought one */
};

static volatile sig_atomic_t asked_to_end;

static void on_end(int number)
{
    (void)number;
    asked_to_end = 1;
}

/*
 * Takes away a bit of what is past its time: after some hundred commands, at the start and each hour, also where
 * nothing happens, for what is remembered may name people.
 */
static void tidy(struct worker *worker)
{
    struct err err;
    struct app *app = &worker->app;
    if (clock_steady() < worker->next_tidying && (!app->commanded || ++worker->commands % TIDY_EVERY != 0))
        return;
    worker->next_tidying = clock_steady() + TIDY_US - getpid() % 600 * 1000000;
    if (app->db == NULL && sql_open(&app->db, worker->conf, &err) != 0) {
        log_warning("nothing is taken away: %s", err.text);
        return;
    }
    if (idempotency_purge(app->db, &err) != 0)
        log_warning("old Idempotency-Keys are not taken away: %s", err.text);
    if (session_purge(app->db, &err) != 0)
        log_warning("old sessions are not taken away: %s", err.text);
}

/*
 * Asked to end, it goes on with the connection that was kept until that rests for a moment, or the web server closes
 * it: a command that is on its way there would not be sent again.
 */
static bool ends(struct worker *worker)
{
    struct pollfd kept = {.fd = worker->fcgi.ipcFd, .events = POLLIN};
    if (!asked_to_end || kept.fd < 0)
        return asked_to_end;
    if (worker->ends_by == 0)
        worker->ends_by = clock_steady() + LAST_US;
    return clock_steady() >= worker->ends_by || poll(&kept, 1, REST_MS) == 0;
}

/* Waits on the connection that was kept, or else on the socket that the pool shares; of its waiters one is woken. */
static bool wait_for_request(struct worker *worker)
{
    sigset_t none;
    sigemptyset(&none);
    while (!ends(worker)) {
        struct pollfd kept = {.fd = worker->fcgi.ipcFd, .events = POLLIN};
        struct epoll_event event;
        int64_t rest = worker->next_tidying - clock_steady();
        struct timespec span = {rest > 0 ? rest / 1000000 : 0, rest > 0 ? rest % 1000000 * 1000 : 0};
        int ready = worker->fcgi.ipcFd >= 0
                        ? ppoll(&kept, 1, &span, &none)
                        : epoll_pwait(worker->epoll_fd, &event, 1, (int)span.tv_sec * 1000 + 999, &none);
        if (ready > 0)
            return true;
        if (ready == 0)
            tidy(worker);
        if (ready < 0 && errno != EINTR) {
            log_error("waiting for a request: %s", strerror(errno));
            return false;
        }
    }
    return false;
}

/* A web server that stops in the middle of a body must not hold the worker for ever. */
static void bound_reads(struct worker *worker)
{
    struct timeval timeout = {.tv_sec = worker->conf->fcgi_body_timeout_s};
    if (worker->fcgi.ipcFd == worker->known_fd)
        return;
    if (setsockopt(worker->fcgi.ipcFd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
        setsockopt(worker->fcgi.ipcFd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0)
        log_warning("setting a timeout: %s", strerror(errno));
    worker->known_fd = worker->fcgi.ipcFd;
}

/* Whether it may have brought a secret: a password in its body, a token in a header. */
static bool brings_secret(const struct http_request *request)
{
    bool reads = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    return !reads || http_header(request, "authorization") != NULL || http_header(request, "cookie") != NULL;
}

/* Until some query has asked, so that the first answers name a position too; where the database is away, not each asks.
 */
static void learn_position(struct worker *worker)
{
    struct err err;
    struct app *app = &worker->app;
    int64_t position;
    if (known_now(app->known) >= 0 || clock_steady() < worker->next_question)
        return;
    if ((app->db == NULL && sql_open(&app->db, worker->conf, &err) != 0) ||
        known_position(app->known, app->db, worker->arena, &position, &err) != 0)
        log_debug("the log's position is not known yet: %s", err.text);
    worker->next_question = clock_steady() + LEARN_US;
    arena_reset(worker->arena);
}

static void answer(struct worker *worker)
{
    struct http_request request;
    struct http_response response;
    struct err err;
    struct exchange exchange = {.request = &request,
                                .response = &response,
                                .arena = worker->arena,
                                .identify = app_identify,
                                .app = &worker->app};
    learn_position(worker);
    http_response_init(&response, worker->arena);
    /* What an answer reflects that names no position itself: known before anything was read for it. */
    int64_t before = known_now(worker->app.known);
    int refused = message_read(&worker->fcgi, worker->conf, worker->arena, &request, &err);
    log_trace(request.trace_id);
    if (refused != 0)
        http_send_problem(&response, &request, refused, err.text, NULL);
    else
        router_dispatch(ROUTES, ROUTE_COUNT, &exchange);
    if (arena_exhausted(worker->arena)) {
        arena_reset(worker->arena);
        worker->app.committed.count = 0;
        http_response_init(&response, worker->arena);
        log_error("a request needed more memory than it may have");
        http_send_problem(&response, &request, 500, "The answer is too large.", NULL);
    }
    if (response.position < 0)
        response.position = before;
    http_finish(&response, &request, worker->conf);
    if (!message_write(&worker->fcgi, &request, &response))
        log_debug("the web server has gone before the answer was written");
    worker->secret = brings_secret(&request);
    log_trace(NULL);
}

static void publish(struct worker *worker)
{
    struct err err;
    const struct outcome *committed = &worker->app.committed;
    if (committed->count == 0 || worker->bus == NULL ||
        publish_committed(worker->bus, worker->app.db, worker->lane, committed->events, committed->count, &err) == 0)
        return;
    /* Not lost: the next publisher or the tail takes it from the log. */
    if (clock_steady() < worker->next_complaint)
        return;
    if (err.kind == ERR_CONFLICT)
        log_error("nothing is published: %s", err.text);
    else
        log_warning("not published yet: %s", err.text);
    worker->next_complaint = clock_steady() + COMPLAIN_US;
}

static bool serve_one(struct worker *worker)
{
    if (!wait_for_request(worker))
        return false;
    if (worker->fcgi.ipcFd < 0)
        worker->known_fd = -1;
    int status = FCGX_Accept_r(&worker->fcgi);
    if (status == -EAGAIN || status == -EWOULDBLOCK || status == -ECONNABORTED || status == -EINTR)
        return true;
    if (status < 0) {
        /* Out of descriptors, most likely: wait for better times rather than spin. */
        log_error("accepting a request: %s", strerror(-status));
        struct timespec pause = {0, 100000000};
        nanosleep(&pause, NULL);
        return true;
    }
    bound_reads(worker);
    worker->app.committed.count = 0;
    worker->app.commanded = false;
    answer(worker);
    FCGX_Finish_r(&worker->fcgi);
    if (worker->secret)
        crypt_wipe_stack();
    publish(worker);
    tidy(worker);
    arena_reset(worker->arena);
    return true;
}

static int start(struct worker *worker, struct err *err)
{
    struct sigaction action = {.sa_handler = on_end};
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGHUP, &action, NULL);
    worker->arena = arena_new(ARENA_LIMIT);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (worker->arena == NULL || worker->epoll_fd < 0 ||
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->listen_fd, &event) != 0)
        return fail(err, ERR_INTERNAL, "cannot start: %s", strerror(errno));
    /* libfcgi waits up to these on sockets that a peer leaves half open; its standard is two seconds each. */
    setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "200", 0);
    setenv("LIBFCGI_IS_AF_UNIX_KEEPER_POLL_TIMEOUT", "200", 0);
    if (FCGX_Init() != 0 || FCGX_InitRequest(&worker->fcgi, worker->listen_fd, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
        return fail(err, ERR_INTERNAL, "libfcgi cannot start");
    return bus_open(&worker->bus, worker->conf, err);
}

static void stop(struct worker *worker)
{
    FCGX_Free(&worker->fcgi, 1);
    bus_close(&worker->bus);
    bus_end();
    sql_close(&worker->app.db);
    sql_end();
    arena_free(&worker->arena);
    names_free(&worker->app.names);
    pages_free(&worker->app.pages);
    keys_free(&worker->app.keys);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
}

int worker_run(const struct conf *conf, int listen_fd, struct lane *lane, struct known *known,
               struct throttle *throttle)
{
    struct err err;
    struct worker worker = {.conf = conf,
                            .listen_fd = listen_fd,
                            .epoll_fd = -1,
                            .lane = lane,
                            .app = {.conf = conf,
                                    .known = known,
                                    .names = names_new(known),
                                    .pages = pages_new(),
                                    .keys = keys_new(),
                                    .throttle = throttle},
                            .fcgi = {.ipcFd = -1},
                            .known_fd = -1};
    int status = start(&worker, &err);
    if (status != 0)
        log_error("%s", err.text);
    while (status == 0 && serve_one(&worker))
        ;
    stop(&worker);
    return status != 0;
}
