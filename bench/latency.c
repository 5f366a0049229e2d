/*
 * From commit to browser: HOST PORT TOKEN COUNT PER-SECOND. Opens a stream and writes articles at a steady rate, both
 * through the web server, and measures from the moment that an event carries, which is taken just before its commit, to
 * the moment its frame is read. Prints p50, p99 and the longest in milliseconds. Both clocks are this machine's.
 */
#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SAMPLES = 100000, ROOM = 1 << 20, PATIENCE_MS = 10000 };

struct bench {
    int stream, writer;
    const char *host, *token;
    int64_t samples[SAMPLES];
    size_t count;
    char frames[ROOM];
    size_t frames_len;
    bool began;      /* the head is over */
    long long chunk; /* bytes that the chunk has left; 0: its size comes next (RFC 9112, section 7.1) */
    char line[64];   /* what has come of a line of the head, or of a size */
    size_t line_len;
};

static int connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static bool send_all(int fd, const char *text)
{
    size_t len = strlen(text);
    return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool write_article(struct bench *b)
{
    char text[8192];
    const char *body = "{\"title\":\"Latency\",\"content\":\"text\",\"publish\":true}";
    snprintf(text, sizeof text,
             "POST /api/articles HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             b->host, b->token, strlen(body), body);
    return send_all(b->writer, text);
}

static void take_frames(struct bench *b, int64_t now)
{
    char *start = b->frames, *end;
    b->frames[b->frames_len] = '\0';
    while ((end = strstr(start, "\n\n")) != NULL) {
        *end = '\0';
        char *stamp = strstr(start, "\"timestamp\":\"");
        if (stamp != NULL && b->count < SAMPLES)
            b->samples[b->count++] = now - clock_parse(stamp + 13, 27);
        start = end + 2;
    }
    b->frames_len -= (size_t)(start - b->frames);
    memmove(b->frames, start, b->frames_len);
}

/* A byte of the head, or between two chunks. */
static void take_outside(struct bench *b, char c)
{
    if (c != '\n') {
        if (c != '\r' && b->line_len < sizeof b->line - 1)
            b->line[b->line_len++] = c;
        return;
    }
    b->line[b->line_len] = '\0';
    if (b->began && b->line_len > 0)
        b->chunk = strtoll(b->line, NULL, 16);
    b->began = b->began || b->line_len == 0;
    b->line_len = 0;
}

static bool read_stream(struct bench *b)
{
    static char bytes[65536];
    ssize_t got = recv(b->stream, bytes, sizeof bytes, 0);
    if (got <= 0)
        return false;
    for (ssize_t i = 0; i < got; i++) {
        if (b->chunk == 0) {
            take_outside(b, bytes[i]);
        } else if (b->frames_len < ROOM - 1) {
            b->frames[b->frames_len++] = bytes[i];
            b->chunk--;
        }
    }
    take_frames(b, clock_now());
    return true;
}

static bool read_answer(struct bench *b)
{
    char answer[8192];
    ssize_t got = recv(b->writer, answer, sizeof answer - 1, 0);
    if (got <= 0)
        return false;
    answer[got] = '\0';
    return strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, "201", 3) == 0;
}

/* Writes one article every `span` microseconds; ends when all events have come. */
static bool run(struct bench *b, size_t articles, int64_t span)
{
    int64_t next = clock_steady();
    for (size_t sent = 0; b->count < articles * 3;) {
        int64_t left = (next - clock_steady()) / 1000;
        struct pollfd fds[] = {{.fd = b->stream, .events = POLLIN}, {.fd = b->writer, .events = POLLIN}};
        int wait = sent == articles ? PATIENCE_MS : left > 0 ? (int)left : 0;
        int ready = poll(fds, 2, wait);
        if (ready < 0 || (ready == 0 && sent == articles))
            return false;
        if ((fds[0].revents != 0 && !read_stream(b)) || (fds[1].revents != 0 && !read_answer(b)))
            return false;
        if (sent < articles && clock_steady() >= next) {
            if (!write_article(b))
                return false;
            sent++;
            next += span;
        }
    }
    return true;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct bench b;
    char text[6000];
    if (argc != 6) {
        fprintf(stderr, "usage: latency HOST PORT TOKEN COUNT PER-SECOND\n");
        return 2;
    }
    b.host = argv[1];
    b.token = argv[3];
    b.stream = connect_to(argv[1], argv[2]);
    b.writer = connect_to(argv[1], argv[2]);
    snprintf(text, sizeof text, "GET /events HTTP/1.1\r\nHost: %s\r\n\r\n", b.host);
    if (b.stream < 0 || b.writer < 0 || !send_all(b.stream, text) || !read_stream(&b) ||
        !run(&b, (size_t)atoi(argv[4]), 1000000 / atoi(argv[5]))) {
        fprintf(stderr, "latency: %zu events came, then: %s\n", b.count, strerror(errno));
        return 1;
    }
    qsort(b.samples, b.count, sizeof b.samples[0], ascending);
    printf("%.2f %.2f %.2f\n", (double)b.samples[b.count / 2] / 1000, (double)b.samples[b.count * 99 / 100] / 1000,
           (double)b.samples[b.count - 1] / 1000);
    return 0;
}
