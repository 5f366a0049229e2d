/*
 * The core without HTTP: CONFIG WRITERS READERS SECONDS [small]. Writers are processes that dispatch create_article
 * (published at once; small: a draft of a line, as small as the events of other people's benchmarks), one after the
 * other, each checked, decided, appended, synced and then published to the bus, as a worker does. Readers are processes
 * that follow the log by a tail of their own and fold it into counts, as a projection outside the transaction would;
 * the clock stops when every reader has every event. Prints commands and events per second.
 */
#include "bench/article.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "domain/article.h"
#include "domain/model.h"
#include "events/bus.h"
#include "events/publisher.h"
#include "events/tail.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARENA_LIMIT = 64 * 1024 * 1024, TURN_US = 50000 };

static const struct actor WRITER = {.user_id = "01a2071b-f843-7645-a001-b20b639515c1",
                                    .username = "bench",
                                    .session_id = "01a2071b-f843-7645-a001-b20b639515c2",
                                    .permissions = ""};

struct shared {
    atomic_llong commands, last; /* the last position that was committed */
    atomic_int writing, ready;
    atomic_bool go;
};

struct bench {
    struct conf conf;
    struct shared *shared;
    struct lane *lane;
    int64_t from, until;
    bool small;
};

static int send_one(const struct bench *b, struct sql *db, struct bus *bus, struct arena *arena, const char *payload,
                    struct err *err)
{
    struct faults faults;
    struct outcome outcome;
    struct json_object *json = json_read(payload, strlen(payload), err);
    if (json == NULL)
        return -1;
    struct command command = {.type = &CREATE_ARTICLE,
                              .payload = json,
                              .actor = &WRITER,
                              .conf = &b->conf,
                              .arena = arena,
                              .source = "bench",
                              .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
                              .expected = NO_VERSION};
    int status = command_dispatch(db, &MODEL, &command, &outcome, &faults, err);
    json_object_put(json);
    if (status != 0)
        return -1;
    long long last = atomic_load(&b->shared->last);
    while (last < outcome.position && !atomic_compare_exchange_weak(&b->shared->last, &last, outcome.position))
        ;
    atomic_fetch_add(&b->shared->commands, 1);
    if (publish_committed(bus, db, b->lane, outcome.events, outcome.count, err) != 0)
        log_warning("%s", err->text);
    return 0;
}

static void await_go(const struct bench *b)
{
    atomic_fetch_add(&b->shared->ready, 1);
    while (!atomic_load(&b->shared->go))
        usleep(1000);
}

static int write_all(const struct bench *b)
{
    char payload[BENCH_CONTENT + 160], content[BENCH_CONTENT + 1];
    const char *published = b->small ? "" : ",\"tags\":[\"a\"],\"publish\":true";
    uint64_t random = (uint64_t)getpid();
    unsigned number = 0;
    struct err err;
    struct sql *db;
    struct bus *bus = NULL;
    struct arena *arena = arena_new(ARENA_LIMIT);
    int status = sql_open(&db, &b->conf, &err) == 0 ? bus_open(&bus, &b->conf, &err) : -1;
    if (status == 0)
        status = bus_await(bus, &err);
    await_go(b);
    while (status == 0 && clock_steady() < b->until) {
        arena_reset(arena);
        bench_prose(&random, content);
        if (b->small)
            snprintf(content, sizeof content, "A line of a text that has some sixty characters altogether.");
        snprintf(payload, sizeof payload, "{\"title\":\"Bench %d %u\",\"lead\":\"A lead\",\"content\":\"%s\"%s}",
                 (int)getpid(), number++, content, published);
        status = send_one(b, db, bus, arena, payload, &err);
    }
    if (status != 0)
        fprintf(stderr, "commands: %s\n", err.text);
    atomic_fetch_sub(&b->shared->writing, 1);
    bus_close(&bus);
    sql_close(&db);
    return status != 0;
}

static int read_all(const struct bench *b)
{
    struct err err;
    struct tail *tail;
    struct event_list list;
    long long events = 0, articles = 0;
    struct arena *arena = arena_new(ARENA_LIMIT);
    int status = tail_open(&tail, &b->conf, &MODEL, b->from, &err);
    await_go(b);
    while (status == 0 &&
           (atomic_load(&b->shared->writing) > 0 || tail_position(tail) < atomic_load(&b->shared->last))) {
        arena_reset(arena);
        tail_next(tail, arena, TURN_US, &list);
        events += (long long)list.count;
        for (size_t i = 0; i < list.count; i++)
            articles += strcmp(list.events[i].type, "article.created") == 0;
    }
    if (status != 0)
        fprintf(stderr, "commands: %s\n", err.text);
    else if (articles != atomic_load(&b->shared->commands) || events != atomic_load(&b->shared->last) - b->from)
        status = fprintf(stderr, "commands: a reader counts %lld articles in %lld events\n", articles, events);
    tail_close(&tail);
    return status != 0;
}

static struct shared *pool;

static bool anybody_writes(void)
{
    return atomic_load(&pool->writing) > 0;
}

static void complain(const struct err *err)
{
    fprintf(stderr, "commands: %s\n", err->text);
}

/* As in a pool of workers. */
static int publish_all(const struct bench *b)
{
    struct err err;
    struct sql *db;
    struct bus *bus = NULL;
    struct arena *arena = arena_new(ARENA_LIMIT);
    pool = b->shared;
    int status = sql_open(&db, &b->conf, &err) == 0 ? bus_open(&bus, &b->conf, &err) : -1;
    await_go(b);
    if (status == 0)
        lane_serve(b->lane, bus, db, arena, anybody_writes, complain);
    return status != 0;
}

static int find_start(struct bench *b, struct err *err)
{
    struct sql *db;
    struct log_head head;
    struct arena *arena = arena_new(ARENA_LIMIT);
    int status = sql_open(&db, &b->conf, err) == 0 ? eventlog_head(db, arena, &head, err) : -1;
    b->from = status == 0 ? head.position : 0;
    b->shared = mmap(NULL, sizeof *b->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    b->lane = lane_new(true);
    sql_close(&db);
    arena_free(&arena);
    return b->shared != MAP_FAILED && b->lane != NULL ? status : fail(err, ERR_UNAVAILABLE, "no memory");
}

int main(int argc, char **argv)
{
    struct bench b;
    struct err err;
    b.small = argc == 6 && strcmp(argv[5], "small") == 0;
    if ((argc != 5 && !b.small) || crypt_init(&err) != 0 || conf_load(&b.conf, argv[1], "commands", &err) != 0) {
        fprintf(stderr, "usage: commands CONFIG WRITERS READERS SECONDS [small]\n");
        return 2;
    }
    int writers = atoi(argv[2]), readers = atoi(argv[3]), bad = 0;
    if (find_start(&b, &err) != 0) {
        fprintf(stderr, "commands: %s\n", err.text);
        return 1;
    }
    atomic_store(&b.shared->writing, writers);
    atomic_store(&b.shared->last, b.from);
    /* Starting fifty processes takes a moment, which is not measured. */
    b.until = clock_steady() + (int64_t)atoi(argv[4]) * 1000000 + 2000000;
    int all = writers + readers + 1;
    for (int i = 0; i < all; i++)
        if (fork() == 0)
            exit(i < writers ? write_all(&b) : i < writers + readers ? read_all(&b) : publish_all(&b));
    while (atomic_load(&b.shared->ready) < all)
        usleep(1000);
    int64_t began = clock_steady();
    atomic_store(&b.shared->go, true);
    for (int i = 0, status; i < all; i++)
        bad += wait(&status) < 0 || status != 0;
    double seconds = (double)(clock_steady() - began) / 1e6;
    printf("%.0f %.0f\n", (double)atomic_load(&b.shared->commands) / seconds,
           (double)(atomic_load(&b.shared->last) - b.from) / seconds);
    return bad != 0;
}
