/* The canary. See canary.h. */
#include "notifier/canary.h"

#include "base/clock.h"
#include "base/listen.h"
#include "base/log.h"
#include "events/publisher.h"
#include "sql/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 8192 };

/* What others have left unpublished may come before it. */
enum { ARENA_LIMIT = 128 * 1024 * 1024 };

struct perch {
    const struct conf *conf;
    const char *key;
    struct sql *db;
    struct bus *bus;
    struct lane *lane;
    struct arena *arena;
};

struct perch *perch_new(const struct conf *conf, const char *key)
{
    struct perch *perch = calloc(1, sizeof *perch);
    struct err err;
    if (perch == NULL)
        return NULL;
    *perch = (struct perch){.conf = conf, .key = key, .lane = lane_new(false), .arena = arena_new(ARENA_LIMIT)};
    if (perch->lane != NULL && perch->arena != NULL && bus_open(&perch->bus, conf, &err) == 0)
        return perch;
    perch_free(&perch);
    return NULL;
}

void perch_free(struct perch **perch)
{
    if (*perch == NULL)
        return;
    bus_close(&(*perch)->bus);
    sql_close(&(*perch)->db);
    lane_free(&(*perch)->lane);
    arena_free(&(*perch)->arena);
    free(*perch);
    *perch = NULL;
    sql_thread_end();
}

static int connected(struct perch *perch, struct err *err)
{
    arena_reset(perch->arena);
    return perch->db != NULL ? 0 : sql_open(&perch->db, perch->conf, err);
}

int perch_migrated(struct perch *perch, bool *migrated, struct err *err)
{
    int applied;
    if (connected(perch, err) != 0 || migrations_applied(perch->db, perch->arena, &applied, err) != 0)
        return -1;
    *migrated = applied >= migrations_built();
    return 0;
}

int perch_look(struct perch *perch, int64_t *head, struct err *err)
{
    struct log_head found;
    if (connected(perch, err) != 0 || eventlog_head(perch->db, perch->arena, &found, err) != 0)
        return -1;
    *head = found.position;
    return 0;
}

/* What a stream has brought and was not read yet. */
struct flight {
    int fd;
    int64_t end; /* clock_steady */
    size_t len;
    char text[ROOM];
};

static int failed(struct err *err, const char *what)
{
    return fail(err, ERR_UNAVAILABLE, "canary: %s: %s", what, strerror(errno));
}

static int send_request(const struct flight *flight, const char *key, int64_t after, struct err *err)
{
    char text[240];
    int len =
        snprintf(text, sizeof text,
                 "GET /events?topic=canary&after=%" PRId64 " HTTP/1.1\r\nHost: canary\r\n" CANARY_HEADER ": %s\r\n\r\n",
                 after, key);
    return send(flight->fd, text, (size_t)len, MSG_NOSIGNAL) == len ? 0 : failed(err, "asking for a stream");
}

/* Waits for more. What was read before makes room when it is much. */
static int read_more(struct flight *flight, struct err *err)
{
    struct pollfd ready = {.fd = flight->fd, .events = POLLIN};
    int64_t left = (flight->end - clock_steady()) / 1000;
    if (left <= 0 || poll(&ready, 1, (int)left) <= 0)
        return fail(err, ERR_UNAVAILABLE, "canary: it has not come in time");
    if (flight->len > ROOM / 2) {
        memmove(flight->text, flight->text + flight->len - ROOM / 4, ROOM / 4);
        flight->len = ROOM / 4;
    }
    ssize_t got = recv(flight->fd, flight->text + flight->len, ROOM - 1 - flight->len, 0);
    if (got <= 0)
        return fail(err, ERR_UNAVAILABLE, "canary: the stream has ended");
    flight->len += (size_t)got;
    flight->text[flight->len] = '\0';
    return 0;
}

static int await_text(struct flight *flight, const char *text, struct err *err)
{
    while (strstr(flight->text, text) == NULL)
        if (read_more(flight, err) != 0)
            return -1;
    return 0;
}

static int append(struct sql *db, struct arena *arena, int64_t *position, struct err *err)
{
    char stream[ID_TEXT];
    struct envelope event = {.version = 1,
                             .type = "canary.sent",
                             .audience = "public",
                             .data = STR("{}"),
                             .metadata = STR("{\"source\":\"notifier\"}"),
                             .schema = 1,
                             .recorded_at = clock_now()};
    struct sql_rows rows;
    id_new(event.id);
    id_new(stream);
    event.stream = arena_printf(arena, "canary-%s", stream);
    struct sql_batch *batch = sql_batch_new(arena);
    if (event.stream == NULL || batch == NULL)
        return fail(err, ERR_UNAVAILABLE, "canary: no memory");
    event_digest(&event, event.digest);
    eventlog_append(batch, &event, 1, 0);
    if (sql_batch_commit(db, batch, &rows, err) != 0)
        return -1;
    *position = strtoll(SQL_CELL(&rows, 0, 0).data, NULL, 10);
    return 0;
}

/* As a worker does: what is durable goes to the bus. Where that is away, the event comes by the log. */
static void publish(const struct perch *perch, int64_t position, int64_t end)
{
    struct err err;
    int done = 0;
    while (bus_connected(perch->bus) && done == 0 && clock_steady() < end) {
        arena_reset(perch->arena);
        done = publish_missing(perch->bus, perch->db, perch->lane, perch->arena, position, &err);
    }
}

static int fly(struct perch *perch, struct flight *flight, int64_t *position, struct err *err)
{
    char frame[48];
    int64_t head;
    if (perch_look(perch, &head, err) != 0 || send_request(flight, perch->key, head, err) != 0 ||
        await_text(flight, "retry:", err) != 0 || append(perch->db, perch->arena, position, err) != 0)
        return -1;
    publish(perch, *position, flight->end);
    snprintf(frame, sizeof frame, "id: %" PRId64 "\nevent: canary.sent\n", *position);
    return await_text(flight, frame, err);
}

int perch_fly(struct perch *perch, int64_t timeout_us, int64_t *position, struct err *err)
{
    struct flight flight = {.end = clock_steady() + timeout_us};
    flight.fd = listen_connect(perch->conf->notifier_listen, err);
    if (flight.fd < 0)
        return -1;
    int status = fly(perch, &flight, position, err);
    close(flight.fd);
    return status;
}
