/*
 * What the streams of bench_sse bring:
 *
 *      bench_sse_send log CONFIG RATE COUNT [ADDRESS PORT]  events in the log, published as a worker does
 *      bench_sse_send post ADDRESS PORT PATH RATE COUNT     messages of the same size, by POST, for Nchan
 *
 * RATE: events a second; 0 does not wait. Then of posts at most 64 wait for their answers, and of events at most 64 for
 * their coming back by a stream of the sender's own (at ADDRESS and PORT), some in one transaction. COUNT: how many; 0
 * goes on until it is ended. Each carries «"n":NUMBER,"sent":MICROSECONDS}». Prints how many were sent, and for a log
 * the position of the last.
 */
#include "base/clock.h"
#include "domain/model.h"
#include "events/eventlog.h"
#include "events/publisher.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ARENA_LIMIT = 8 * 1024 * 1024, BATCH = 8, WINDOW = 64, PAD = 200 };

static volatile sig_atomic_t ending;

static void on_end(int number)
{
    (void)number;
    ending = 1;
}

/* Waits until the n-th is due. */
static void pace(int64_t start, int64_t rate, int64_t n)
{
    if (rate <= 0)
        return;
    int64_t wait = start + n * 1000000 / rate - clock_steady();
    struct timespec span = {wait / 1000000, (long)(wait % 1000000) * 1000};
    if (wait > 0)
        nanosleep(&span, NULL);
}

static const char *pad(void)
{
    static char text[PAD + 1];
    memset(text, 'x', PAD);
    return text;
}

/* ---- the log ---- */

static int connect_to(const char *address, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const int on = 1;
    if (getaddrinfo(address, port, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    freeaddrinfo(found);
    return fd;
}

/* A stream of our own, and the number of the last event that it has brought. */
struct witness {
    int fd;
    int64_t seen;
    size_t kept;
    char text[65536];
};

static struct witness witness = {.fd = -1, .seen = -1};

static bool follow(const char *address, const char *port)
{
    const char *ask = "GET /events HTTP/1.1\r\nHost: sender\r\n\r\n";
    witness.fd = connect_to(address, port);
    return witness.fd >= 0 && send(witness.fd, ask, strlen(ask), MSG_NOSIGNAL) == (ssize_t)strlen(ask) &&
           recv(witness.fd, witness.text, sizeof witness.text, 0) > 0;
}

/* Until no more than a window of events is on its way. */
static bool await_witness(int64_t n)
{
    while (witness.fd >= 0 && n - 1 - witness.seen > WINDOW) {
        ssize_t got = recv(witness.fd, witness.text + witness.kept, sizeof witness.text - 1 - witness.kept, 0);
        if (got <= 0)
            return false;
        witness.kept += (size_t)got;
        witness.text[witness.kept] = '\0';
        char *at = witness.text, *found;
        while ((found = strstr(at, "\"n\":")) != NULL && strchr(found, '}') != NULL) {
            witness.seen = strtoll(found + 4, NULL, 10);
            at = found + 4;
        }
        witness.kept = found != NULL ? strlen(found) : strlen(at) < 4 ? strlen(at) : 4;
        memmove(witness.text, witness.text + strlen(witness.text) - witness.kept, witness.kept);
        size_t len = strlen(witness.text);
        witness.kept = witness.kept < len ? witness.kept : len;
    }
    return true;
}

struct sender {
    struct sql *db;
    struct bus *bus;
    struct lane *lane;
    struct arena *arena;
    char stream[64], id[ID_TEXT];
    int64_t n; /* sent so far, and the version of the stream */
    int64_t position;
};

static bool make_events(struct sender *s, struct envelope *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct envelope *event = &events[i];
        const char *data =
            arena_printf(s->arena, "{\"id\":\"%s\",\"pad\":\"%s\",\"n\":%" PRId64 ",\"sent\":%" PRId64 "}", s->id,
                         pad(), s->n + (int64_t)i, clock_now());
        if (data == NULL)
            return false;
        *event = (struct envelope){.stream = s->stream,
                                   .version = s->n + (int64_t)i + 1,
                                   .type = "article.noted",
                                   .audience = "public",
                                   .data = str_of(data),
                                   .metadata = STR("{\"source\":\"bench\"}"),
                                   .schema = 1,
                                   .recorded_at = clock_now()};
        id_new(event->id);
        event_digest(event, event->digest);
    }
    return true;
}

static int append(struct sender *s, size_t count, struct err *err)
{
    arena_reset(s->arena);
    struct envelope *events = arena_alloc(s->arena, count * sizeof *events);
    struct sql_batch *batch = sql_batch_new(s->arena);
    struct sql_rows rows;
    if (events == NULL || batch == NULL || !make_events(s, events, count))
        return fail(err, ERR_INTERNAL, "no memory");
    eventlog_append(batch, events, count, s->n);
    if (sql_batch_commit(s->db, batch, &rows, err) != 0)
        return -1;
    s->position = strtoll(SQL_CELL(&rows, 0, 0).data, NULL, 10);
    s->n += (int64_t)count;
    for (size_t i = 0; i < count; i++)
        events[i].position = s->position - (int64_t)count + 1 + (int64_t)i;
    return publish_committed(s->bus, s->db, s->lane, events, count, err);
}

static int send_log(const char *path, int64_t rate, int64_t count)
{
    struct conf conf;
    struct err err;
    struct sender s = {.arena = arena_new(ARENA_LIMIT), .lane = lane_new(false)};
    if (crypt_init(&err) != 0 || conf_load(&conf, path, "sse_send", &err) != 0 || sql_open(&s.db, &conf, &err) != 0 ||
        bus_open(&s.bus, &conf, &err) != 0 || bus_await(s.bus, &err) != 0) {
        fprintf(stderr, "sse_send: %s\n", err.text);
        return 1;
    }
    id_new(s.id);
    snprintf(s.stream, sizeof s.stream, "article-%s", s.id);
    int64_t start = clock_steady();
    int status = 0;
    while (!ending && status == 0 && (count == 0 || s.n < count)) {
        pace(start, rate, s.n);
        if (!await_witness(s.n))
            break;
        status = append(&s, rate > 0 ? 1 : BATCH, &err);
    }
    if (status != 0)
        fprintf(stderr, "sse_send: %s\n", err.text);
    printf("%" PRId64 " %" PRId64 "\n", s.n, s.position);
    bus_close(&s.bus);
    sql_close(&s.db);
    lane_free(&s.lane);
    arena_free(&s.arena);
    return status != 0;
}

/* ---- posts ---- */

/* As long as the data line that Courant makes of its event. */
static bool post_one(int fd, const char *address, const char *path, int64_t n)
{
    char body[1024], text[2048];
    int len = snprintf(body, sizeof body,
                       "{\"id\":\"01a2071b-f843-7645-a001-b20b639515c1\",\"type\":\"article.noted\",\"stream\":"
                       "\"article-01a2071b-f843-7645-a001-b20b639515c1\",\"version\":%" PRId64 ",\"position\":%" PRId64
                       ",\"timestamp\":\"2026-01-31T12:00:00.000001Z\",\"data\":{\"id\":"
                       "\"01a2071b-f843-7645-a001-b20b639515c1\",\"pad\":\"%s\",\"n\":%" PRId64 ",\"sent\":%" PRId64
                       "},\"metadata\":{}}",
                       n, n, pad(), n, clock_now());
    int all = snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", path, address,
                       len, body);
    return send(fd, text, (size_t)all, MSG_NOSIGNAL) == all;
}

/* How many answers have come; -1: the connection is gone, or it was no success. */
static int answers(int fd, int flags)
{
    static char text[65536];
    static size_t kept;
    int count = 0;
    ssize_t got = recv(fd, text + kept, sizeof text - 1 - kept, flags);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        return -1;
    kept += (size_t)got;
    text[kept] = '\0';
    char *at = text, *next;
    while ((next = strstr(at, "HTTP/1.1 ")) != NULL && strlen(next) > 12) {
        if (next[9] != '2')
            return -1;
        count++;
        at = next + 12;
    }
    kept = strlen(at) < 12 ? strlen(at) : 12;
    memmove(text, text + strlen(text) - kept, kept);
    return count;
}

static int send_posts(const char *address, const char *port, const char *path, int64_t rate, int64_t count)
{
    int fd = connect_to(address, port);
    int64_t n = 0, answered = 0, start = clock_steady();
    while (fd >= 0 && !ending && (count == 0 || n < count)) {
        pace(start, rate, n);
        if (!post_one(fd, address, path, n))
            break;
        n++;
        int got = answers(fd, n - answered >= WINDOW ? 0 : MSG_DONTWAIT);
        if (got < 0)
            break;
        answered += got;
    }
    printf("%" PRId64 "\n", n);
    return fd < 0 || (!ending && n < count);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_end};
    sigaction(SIGTERM, &action, NULL);
    if (argc == 7 && strcmp(argv[1], "log") == 0 && !follow(argv[5], argv[6]))
        return 1;
    if ((argc == 5 || argc == 7) && strcmp(argv[1], "log") == 0)
        return send_log(argv[2], strtoll(argv[3], NULL, 10), strtoll(argv[4], NULL, 10));
    if (argc == 7 && strcmp(argv[1], "post") == 0)
        return send_posts(argv[2], argv[3], argv[4], strtoll(argv[5], NULL, 10), strtoll(argv[6], NULL, 10));
    fprintf(stderr, "usage: bench_sse_send log CONFIG RATE COUNT [ADDRESS PORT] | post ADDRESS PORT PATH RATE COUNT\n");
    return 2;
}
