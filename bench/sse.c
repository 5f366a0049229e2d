/*
 * Many streams at once: opens them, reads all that comes, and checks that none misses or repeats anything.
 *
 *      bench_sse ADDRESS PORT PATH [name=value]...
 *
 *      streams=1000      how many
 *      seconds=5         of the measured window, after warm=1 second
 *      sender=COMMAND    started by the shell when all streams are open, ended with the window
 *      pid=N             a server's process (may be there several times): its CPU time and memory are measured
 *      stalled=0         so many of the streams are never read
 *      after=A spread=S first=F last=L
 *                        a storm: each asks for what comes after a position from A to A + S - 1, chosen at random, and
 * is served when it has read the event numbered L; F is the number of the event at position A + 1
 *
 * What is delivered carries «"n":NUMBER,"sent":MICROSECONDS}»; numbers rise by one. Prints name=value pairs; ends with
 * 1 when a stream missed or repeated something, was refused, or was not served.
 */
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CARRY = 80,
    ROOM = 256 * 1024,
    EVENTS = 256,
    PIDS = 8,
    SAMPLES = 1 << 20,
    SAMPLE_EVERY = 7,
    CONNECTING = 400,
    PATIENCE_US = 60000000,
};

struct stream {
    int fd;
    bool open;   /* its head is over */
    bool served; /* of a storm */
    bool stalled;
    int64_t next; /* the number that comes next; -1: any */
    unsigned char carry_len;
    char carry[CARRY];
};

static struct {
    struct addrinfo *server;
    const char *host, *path, *sender;
    long streams, seconds, warm, stalled, after, spread, first, last;
    int pids[PIDS], pid_count;
    int epoll;
    struct stream *list;
    long begun, opened, served, failed;
    bool measuring;
    uint64_t deliveries, bytes, gaps, repeats, seen;
    int64_t least_n, most_n;
    double *samples;
    size_t sample_count;
    char buffer[CARRY + ROOM + 1];
} b = {.streams = 1000, .seconds = 5, .warm = 1, .least_n = INT64_MAX, .most_n = -1};

static void die(const char *what)
{
    fprintf(stderr, "bench_sse: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- options ---- */

static const struct {
    const char *name;
    long *value;
} NUMBERS[] = {
    {"streams", &b.streams}, {"seconds", &b.seconds}, {"warm", &b.warm},   {"stalled", &b.stalled},
    {"after", &b.after},     {"spread", &b.spread},   {"first", &b.first}, {"last", &b.last},
};

static bool read_option(const char *text)
{
    size_t len = strcspn(text, "=");
    if (text[len] != '=')
        return false;
    if (strncmp(text, "sender=", 7) == 0) {
        b.sender = text + 7;
        return true;
    }
    if (strncmp(text, "pid=", 4) == 0 && b.pid_count < PIDS) {
        b.pids[b.pid_count++] = (int)strtol(text + 4, NULL, 10);
        return true;
    }
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++)
        if (strlen(NUMBERS[i].name) == len && strncmp(NUMBERS[i].name, text, len) == 0) {
            *NUMBERS[i].value = strtol(text + len + 1, NULL, 10);
            return true;
        }
    return false;
}

/* ---- the server's processes ---- */

/* Microseconds of CPU. */
static double cpu_of(int pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        die(path);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die("reading the CPU time");
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

/* Kilobytes of its own memory. */
static long memory_of(int pid)
{
    char path[64], line[256];
    long kilobytes = 0, found;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        die(path);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Private_Dirty: %ld", &found) == 1 || sscanf(line, "Private_Clean: %ld", &found) == 1)
            kilobytes += found;
    fclose(file);
    return kilobytes;
}

static double all_cpu(void)
{
    double all = 0;
    for (int i = 0; i < b.pid_count; i++)
        all += cpu_of(b.pids[i]);
    return all;
}

static long all_memory(void)
{
    long all = 0;
    for (int i = 0; i < b.pid_count; i++)
        all += memory_of(b.pids[i]);
    return all;
}

/* ---- streams ---- */

static void begin_stream(struct stream *stream)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = stream};
    const int on = 1, little = 4096;
    stream->next = -1;
    stream->stalled = stream - b.list < b.stalled;
    stream->fd = socket(b.server->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (stream->fd < 0)
        die("socket");
    setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (stream->stalled)
        setsockopt(stream->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (connect(stream->fd, b.server->ai_addr, b.server->ai_addrlen) != 0 && errno != EINPROGRESS)
        die("connect");
    if (epoll_ctl(b.epoll, EPOLL_CTL_ADD, stream->fd, &event) != 0)
        die("epoll_ctl");
    b.begun++;
}

static void ask(struct stream *stream)
{
    char text[600];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
    long after = b.after + (b.spread > 0 ? random() % b.spread : 0);
    int len = b.last > 0 ? snprintf(text, sizeof text, "GET %s%cafter=%ld HTTP/1.1\r\n", b.path,
                                    strchr(b.path, '?') != NULL ? '&' : '?', after)
                         : snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n", b.path);
    len += snprintf(text + len, sizeof text - (size_t)len, "Host: %s\r\nAccept: text/event-stream\r\n\r\n", b.host);
    if (b.last > 0)
        stream->next = b.first + (after - b.after);
    if (send(stream->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        die("send");
    epoll_ctl(b.epoll, EPOLL_CTL_MOD, stream->fd, &event);
}

static void end_stream(struct stream *stream, const char *why)
{
    if (b.failed++ == 0)
        fprintf(stderr, "bench_sse: a stream ended: %s\n", why);
    close(stream->fd);
    stream->fd = -1;
}

static void take_number(struct stream *stream, int64_t n, int64_t sent, int64_t now)
{
    b.gaps += stream->next >= 0 && n > stream->next;
    b.repeats += stream->next >= 0 && n < stream->next;
    stream->next = n + 1;
    if (b.last > 0 && n == b.last && !stream->served) {
        stream->served = true;
        b.served++;
    }
    if (!b.measuring)
        return;
    b.deliveries++;
    b.least_n = n < b.least_n ? n : b.least_n;
    b.most_n = n > b.most_n ? n : b.most_n;
    if (b.seen++ % SAMPLE_EVERY == 0 && b.sample_count < SAMPLES)
        b.samples[b.sample_count++] = (double)(now - sent) / 1000;
}

/* Every number in the text; what may be the beginning of another is kept for the next time. */
static void take_text(struct stream *stream, const char *text, size_t len, int64_t now)
{
    const char *at = text, *end = text + len, *found;
    while ((found = memmem(at, (size_t)(end - at), "\"n\":", 4)) != NULL) {
        const char *stop = memchr(found, '}', (size_t)(end - found));
        if (stop == NULL)
            break;
        char *after;
        int64_t n = strtoll(found + 4, &after, 10);
        if (strncmp(after, ",\"sent\":", 8) == 0)
            take_number(stream, n, strtoll(after + 8, NULL, 10), now);
        at = stop;
    }
    size_t left = found != NULL ? (size_t)(end - found) : (size_t)(end - at);
    stream->carry_len = (unsigned char)(left < CARRY ? left : found != NULL ? CARRY : 3);
    memcpy(stream->carry, found != NULL ? found : end - stream->carry_len, stream->carry_len);
}

static void take_head(struct stream *stream, char *text)
{
    if (strncmp(text, "HTTP/1.1 200", 12) != 0) {
        end_stream(stream, text);
        return;
    }
    stream->open = true;
    b.opened++;
    if (stream->stalled)
        epoll_ctl(b.epoll, EPOLL_CTL_DEL, stream->fd, NULL);
}

static void read_stream(struct stream *stream, int64_t now)
{
    char *text = b.buffer + CARRY - stream->carry_len;
    memcpy(text, stream->carry, stream->carry_len);
    ssize_t got = recv(stream->fd, b.buffer + CARRY, ROOM, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end_stream(stream, got == 0 ? "closed" : strerror(errno));
        return;
    }
    b.buffer[CARRY + got] = '\0';
    b.bytes += b.measuring ? (uint64_t)got : 0;
    if (!stream->open)
        take_head(stream, text);
    if (stream->fd >= 0)
        take_text(stream, text, (size_t)got + stream->carry_len, now);
}

/* One turn; returns false when nothing happened for so many milliseconds. */
static bool turn(int wait_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(b.epoll, events, EVENTS, wait_ms);
    int64_t now = clock_now();
    for (int i = 0; i < count; i++) {
        struct stream *stream = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0)
            ask(stream);
        else
            read_stream(stream, now);
    }
    return count > 0;
}

static void open_all(void)
{
    int64_t end = clock_steady() + PATIENCE_US;
    while (b.opened + b.failed < b.streams && clock_steady() < end) {
        while (b.begun < b.streams && b.begun - b.opened - b.failed < CONNECTING)
            begin_stream(&b.list[b.begun]);
        turn(100);
    }
    if (b.opened < b.streams)
        fprintf(stderr, "bench_sse: %ld of %ld streams opened\n", b.opened, b.streams);
}

static void run_for(int64_t span)
{
    int64_t end = clock_steady() + span;
    while (clock_steady() < end)
        turn(10);
}

static pid_t start_sender(void)
{
    pid_t pid = b.sender != NULL ? fork() : 0;
    if (pid == 0 && b.sender != NULL) {
        setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", b.sender, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int by_value(const void *one, const void *other)
{
    double x = *(const double *)one, y = *(const double *)other;
    return (x > y) - (x < y);
}

static double sample(double part)
{
    return b.sample_count > 0 ? b.samples[(size_t)(part * (double)(b.sample_count - 1))] : 0;
}

static double own_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void measure(void)
{
    pid_t sender = start_sender();
    run_for(b.warm * 1000000);
    double cpu = all_cpu(), own = own_cpu();
    int64_t start = clock_steady();
    b.measuring = true;
    run_for(b.seconds * 1000000);
    b.measuring = false;
    double seconds = (double)(clock_steady() - start) / 1e6;
    cpu = all_cpu() - cpu;
    own = own_cpu() - own;
    if (sender > 0) {
        kill(-sender, SIGTERM);
        waitpid(sender, NULL, 0);
    }
    qsort(b.samples, b.sample_count, sizeof *b.samples, by_value);
    double deliveries = (double)b.deliveries;
    printf(" deliveries_s=%.0f events_s=%.0f p50_ms=%.2f p99_ms=%.2f max_ms=%.2f cpu_us=%.3f cpu=%.2f own_cpu=%.2f "
           "bytes=%.0f",
           deliveries / seconds, b.most_n >= b.least_n ? (double)(b.most_n - b.least_n + 1) / seconds : 0, sample(0.5),
           sample(0.99), sample(1), deliveries > 0 ? cpu / deliveries : 0, cpu / 1e6 / seconds, own / seconds,
           deliveries > 0 ? (double)b.bytes / deliveries : 0);
}

static void storm(int64_t start)
{
    while (b.served < b.streams - b.failed && clock_steady() - start < PATIENCE_US)
        turn(100);
    printf(" served=%ld served_s=%.2f", b.served, (double)(clock_steady() - start) / 1e6);
}

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct rlimit limit;
    bool ok = argc >= 4;
    for (int i = 4; i < argc && ok; i++)
        ok = read_option(argv[i]);
    if (!ok || getaddrinfo(argv[1], argv[2], &hints, &b.server) != 0) {
        fprintf(stderr, "usage: bench_sse ADDRESS PORT PATH [name=value]...\n");
        return 2;
    }
    b.host = argv[1];
    b.path = argv[3];
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    b.list = calloc((size_t)b.streams, sizeof *b.list);
    b.samples = malloc(SAMPLES * sizeof *b.samples);
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b.list == NULL || b.samples == NULL || b.epoll < 0)
        die("beginning");
    long before = all_memory();
    int64_t start = clock_steady();
    open_all();
    double opened = (double)(clock_steady() - start) / 1e6;
    printf("streams=%ld opened_s=%.2f", b.opened, opened);
    if (b.last > 0) {
        storm(start);
    } else {
        run_for(500000);
        if (b.pid_count > 0)
            printf(" kb_stream=%.2f", (double)(all_memory() - before) / (double)b.streams);
        measure();
    }
    printf(" gaps=%llu repeats=%llu failed=%ld\n", (unsigned long long)b.gaps, (unsigned long long)b.repeats, b.failed);
    return b.gaps + b.repeats + (uint64_t)b.failed > 0 || b.opened < b.streams || (b.last > 0 && b.served < b.streams);
}
