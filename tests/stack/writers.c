/*
 * Many writers at once against a real stack: CONFIG WRITERS COMMANDS.
 *
 * Each writer is a process, as in the pool, and shares the lane. One command in seven leaves no trace: in turn it is
 * refused by its schema, or fails on a unique key when its positions are taken already, and is rolled back. Two readers
 * follow meanwhile, one of the log and one of the tail: each must see every position once, in order. Prints what it did
 * and exits 0 only if the log grew by exactly what succeeded.
 */
#include "base/clock.h"
#include "base/log.h"
#include "domain/article.h"
#include "domain/model.h"
#include "events/publisher.h"
#include "events/tail.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARENA_LIMIT = 64 * 1024 * 1024, PATIENCE_US = 180000000, TURN_US = 100000 };

static const char PAYLOAD[] = "{\"title\":\"One of many\",\"content\":\"text\",\"publish\":true}";

struct shared {
    atomic_llong start, final; /* final: 0 while the writers write */
    atomic_int made, refused, rolled_back;
};

struct context {
    struct conf conf;
    struct shared *shared;
    struct lane *lane;
    struct sql *db;
    struct bus *bus;
    struct arena *arena;
    int commands;
};

static const struct actor WRITER = {.user_id = "01a2071b-f843-7645-a001-b20b639515c1",
                                    .username = "writer",
                                    .session_id = "01a2071b-f843-7645-a001-b20b639515c2",
                                    .permissions = ""};

static int failed(const char *what, const struct err *err)
{
    fprintf(stderr, "writers: %s: %s\n", what, err->text);
    return 1;
}

static int dispatch(struct context *c, const char *payload, struct outcome *outcome, struct err *err)
{
    struct faults faults;
    struct json_object *json = json_read(payload, strlen(payload), err);
    struct command command = {.type = &CREATE_ARTICLE,
                              .payload = json,
                              .actor = &WRITER,
                              .conf = &c->conf,
                              .arena = c->arena,
                              .source = "test",
                              .expected = NO_VERSION};
    int status = command_dispatch(c->db, &MODEL, &command, outcome, &faults, err);
    json_object_put(json);
    return status;
}

/* Takes a position, then breaks the unique key of the events' ids. */
static int roll_back(struct context *c, const struct envelope *there, struct err *err)
{
    struct sql_batch *batch = sql_batch_new(c->arena);
    struct envelope events[2] = {*there, *there};
    id_new(events[0].id);
    events[0].version = 100;
    events[1].version = 101;
    event_digest(&events[0], events[0].digest);
    event_digest(&events[1], events[1].digest);
    eventlog_append(batch, events, 2, 0);
    if (sql_batch_commit(c->db, batch, NULL, err) == 0)
        return fail(err, ERR_INTERNAL, "an event was appended twice");
    return err->kind == ERR_CONFLICT ? 0 : -1;
}

static int write_one(struct context *c, int i, struct envelope *kept, struct err *err)
{
    struct outcome outcome;
    if (i % 14 == 3) {
        atomic_fetch_add(&c->shared->refused, 1);
        return dispatch(c, "{\"title\":\"\"}", &outcome, err) != 0 && err->kind == ERR_INVALID ? 0 : -1;
    }
    if (i % 14 == 10) {
        atomic_fetch_add(&c->shared->rolled_back, 1);
        return roll_back(c, kept, err);
    }
    if (dispatch(c, PAYLOAD, &outcome, err) != 0)
        return -1;
    atomic_fetch_add(&c->shared->made, (int)outcome.count);
    /* What the bus does not take now, the tail publishes. */
    if (publish_committed(c->bus, c->db, c->lane, outcome.events, outcome.count, err) != 0)
        log_warning("%s", err->text);
    if (i % 14 == 9) {
        *kept = outcome.events[0];
        kept->stream = "article-of-which-all-is-rolled-back";
        kept->audience = "public";
        kept->data = STR("{}");
        kept->metadata = STR("{}");
    }
    return 0;
}

static int write_all(struct context *c)
{
    struct err err;
    struct envelope kept = {0};
    int status = bus_open(&c->bus, &c->conf, &err);
    for (int i = 0; status == 0 && i < c->commands; i++) {
        arena_reset(c->arena);
        status = write_one(c, i, &kept, &err);
    }
    bus_close(&c->bus);
    bus_end();
    return status == 0 ? 0 : failed("writing", &err);
}

/* Checks that the list goes on from the position; moves it. */
static bool goes_on(const struct event_list *list, int64_t *position)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->events[i].position != ++*position) {
            fprintf(stderr, "writers: position %" PRId64 " where %" PRId64 " was due\n", list->events[i].position,
                    *position);
            return false;
        }
    return true;
}

static bool goes_on_reading(const struct context *c, int64_t position, int64_t since)
{
    int64_t final = atomic_load(&c->shared->final);
    return (final == 0 || position < final) && clock_steady() - since < PATIENCE_US;
}

static int finish(const struct context *c, const char *name, int64_t position)
{
    if (position == atomic_load(&c->shared->final))
        return 0;
    fprintf(stderr, "writers: the %s ended at %" PRId64 "\n", name, position);
    return 1;
}

static int read_log(struct context *c)
{
    struct err err;
    struct event_list list;
    int64_t position = atomic_load(&c->shared->start), since = clock_steady();
    while (goes_on_reading(c, position, since)) {
        arena_reset(c->arena);
        if (eventlog_read(c->db, c->arena, position, 50, &list, &err) != 0)
            return failed("reading the log", &err);
        if (!goes_on(&list, &position))
            return 1;
    }
    return finish(c, "reader of the log", position);
}

static int read_tail(struct context *c)
{
    struct err err;
    struct tail *tail;
    struct event_list list;
    int64_t position = atomic_load(&c->shared->start), since = clock_steady();
    if (tail_open(&tail, &c->conf, &MODEL, position, &err) != 0)
        return failed("opening the tail", &err);
    bool right = true;
    while (right && goes_on_reading(c, position, since)) {
        arena_reset(c->arena);
        tail_next(tail, c->arena, TURN_US, &list);
        right = goes_on(&list, &position);
    }
    tail_close(&tail);
    bus_end();
    return right ? finish(c, "tail", position) : 1;
}

static pid_t start(struct context *c, int (*run)(struct context *))
{
    struct err err;
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    c->arena = arena_new(ARENA_LIMIT);
    int status = sql_open(&c->db, &c->conf, &err) == 0 ? run(c) : failed("connecting", &err);
    sql_close(&c->db);
    sql_end();
    arena_free(&c->arena);
    lane_free(&c->lane);
    exit(status);
}

static int await_children(int count)
{
    int bad = 0;
    for (int i = 0, status; i < count; i++)
        bad += wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return bad;
}

static int read_head(const struct context *c, int64_t *position)
{
    struct err err;
    struct sql *db = NULL;
    struct arena *arena = arena_new(ARENA_LIMIT);
    struct log_head head = {0};
    int status = sql_open(&db, &c->conf, &err) == 0 && eventlog_head(db, arena, &head, &err) == 0
                     ? 0
                     : failed("reading the head", &err);
    *position = head.position;
    sql_close(&db);
    arena_free(&arena);
    return status;
}

static int run(struct context *c, int writers)
{
    int64_t start_at, end_at;
    if (read_head(c, &start_at) != 0)
        return 1;
    atomic_store(&c->shared->start, start_at);
    pid_t readers[] = {start(c, read_log), start(c, read_tail)};
    int bad = 0;
    for (int i = 0; i < writers; i++)
        if (start(c, write_all) < 0)
            bad++;
    /* The readers end only when they know where: so the first to end are the writers. */
    bad += await_children(writers);
    if (read_head(c, &end_at) != 0)
        return 1;
    atomic_store(&c->shared->final, end_at);
    bad += await_children(sizeof readers / sizeof readers[0]);
    int64_t made = atomic_load(&c->shared->made);
    printf("%d writers: %" PRId64 " events, %d commands refused, %d rolled back; the log went from %" PRId64
           " to %" PRId64 "\n",
           writers, made, atomic_load(&c->shared->refused), atomic_load(&c->shared->rolled_back), start_at, end_at);
    if (end_at - start_at != made)
        fprintf(stderr, "writers: the log grew by %" PRId64 "\n", end_at - start_at);
    return bad != 0 || end_at - start_at != made;
}

int main(int argc, char **argv)
{
    struct err err;
    struct context c = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: stack_writers CONFIG WRITERS COMMANDS\n");
        return 2;
    }
    if (crypt_init(&err) != 0 || conf_load(&c.conf, argv[1], "writers", &err) != 0)
        return failed("starting", &err);
    c.commands = atoi(argv[3]);
    c.lane = lane_new(true);
    c.shared = mmap(NULL, sizeof *c.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = c.lane != NULL && c.shared != MAP_FAILED ? run(&c, atoi(argv[2])) : 1;
    sql_end();
    lane_free(&c.lane);
    munmap(c.shared, sizeof *c.shared);
    return status;
}
