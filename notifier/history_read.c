/* Old events, identities and the log's head, read from servers. See history_read.h. */
#include "notifier/history_read.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/model.h"
#include "domain/session.h"
#include "events/bus.h"
#include "events/eventlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* BUS_BYTES: the bus counts what is around an event too, and gives none where the first is longer than that. */
enum { ARENA_LIMIT = 256 * 1024 * 1024, CHUNK = 128, CHUNK_BYTES = 1024 * 1024, BUS_BYTES = 2 * CHUNK_BYTES };
enum { COMPLAIN_US = 10000000 };

struct reader {
    const struct conf *conf;
    struct arena *arena;
    struct sql *db;
    struct bus *bus;
    struct keys *keys;
    int64_t next_complaint; /* clock_steady */
};

struct range range_around(int64_t after, int64_t upto)
{
    int64_t first = after / CHUNK * CHUNK + 1, last = first + CHUNK - 1;
    return (struct range){first, last < upto ? last : upto, after, upto};
}

struct reader *reader_new(const struct conf *conf)
{
    struct reader *reader = calloc(1, sizeof *reader);
    struct err err;
    if (reader == NULL)
        return NULL;
    *reader = (struct reader){.conf = conf, .arena = arena_new(ARENA_LIMIT), .keys = keys_new()};
    if (reader->arena == NULL || reader->keys == NULL) {
        reader_free(&reader);
        return NULL;
    }
    if (bus_open(&reader->bus, conf, &err) != 0)
        log_warning("old events are read from the log alone: %s", err.text);
    return reader;
}

void reader_free(struct reader **reader)
{
    if (*reader == NULL)
        return;
    keys_free(&(*reader)->keys);
    bus_close(&(*reader)->bus);
    sql_close(&(*reader)->db);
    arena_free(&(*reader)->arena);
    free(*reader);
    *reader = NULL;
    sql_thread_end();
}

/* While a server is away every client has the same reason, and strangers may be many. */
static void complain(struct reader *reader, const char *what, const struct err *err)
{
    if (clock_steady() < reader->next_complaint)
        return;
    log_warning("%s: %s", what, err->text);
    reader->next_complaint = clock_steady() + COMPLAIN_US;
}

static int connected(struct reader *reader, struct err *err)
{
    return reader->db != NULL ? 0 : sql_open(&reader->db, reader->conf, err);
}

static bool read_bus(struct reader *reader, int64_t from, size_t count, struct event_list *list)
{
    struct err err;
    *list = (struct event_list){.events = arena_alloc(reader->arena, count * sizeof *list->events)};
    if (reader->bus == NULL || list->events == NULL)
        return false;
    if (bus_read(reader->bus, reader->arena, from, count, BUS_BYTES, list->events, &list->count, &err) != 0)
        log_debug("reading the bus: %s", err.text);
    return list->count > 0;
}

static bool read_log(struct reader *reader, int64_t from, size_t count, struct event_list *list)
{
    struct err err;
    *list = (struct event_list){0};
    if (connected(reader, &err) == 0 && eventlog_read(reader->db, reader->arena, from - 1, count, list, &err) == 0)
        return list->count > 0;
    complain(reader, "reading the log", &err);
    return false;
}

/* The first events that are no more than these bytes together, and one in any case. */
static void cut_to(struct event_list *list, size_t bytes)
{
    size_t total = 0, count = 0;
    while (count < list->count && (count == 0 || total + list->events[count].data.len <= bytes))
        total += list->events[count++].data.len;
    list->count = count;
}

/* What memory does not allow is left off the end. */
static struct chunk *make_chunk(struct reader *reader, struct event_list *list)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    struct err err;
    if (chunk == NULL)
        return NULL;
    atomic_init(&chunk->references, 1);
    for (size_t i = 0; i < list->count; i++) {
        struct envelope *event = &list->events[i];
        if (model_upcast(&MODEL, event, reader->arena, &err) != 0)
            log_warning("%s", err.text);
        struct record *record = record_new(reader->arena, event, model_effect(&MODEL, event));
        if (record == NULL || !records_add(&chunk->records, record)) {
            record_drop(&record);
            break;
        }
        chunk->bytes += record->size;
    }
    if (chunk->records.count == 0) {
        free(chunk->records.items);
        free(chunk);
        return NULL;
    }
    chunk->first = chunk->records.items[0]->position;
    chunk->last = chunk->first + (int64_t)chunk->records.count - 1;
    chunk->bytes += sizeof *chunk + chunk->records.room * sizeof(struct record *);
    return chunk;
}

static struct chunk *read_from(struct reader *reader, int64_t from, int64_t last, bool *by_bus)
{
    struct event_list list;
    size_t count = (size_t)(last - from + 1);
    *by_bus = *by_bus && read_bus(reader, from, count, &list);
    if (!*by_bus && !read_log(reader, from, count, &list))
        return NULL;
    if (list.count > count)
        list.count = count;
    cut_to(&list, CHUNK_BYTES);
    return make_chunk(reader, &list);
}

struct chunk *reader_read(struct reader *reader, const struct range *range, bool *by_bus)
{
    arena_reset(reader->arena);
    struct chunk *chunk = read_from(reader, range->first, range->last, by_bus);
    /* Large events: the chunk ended before the one that is wanted. */
    if (chunk != NULL && chunk_at(chunk, range->after + 1) == NULL) {
        chunk_drop(&chunk);
        arena_reset(reader->arena);
        chunk = read_from(reader, range->after + 1, range->last, by_bus);
    }
    arena_reset(reader->arena);
    return chunk;
}

static void find_identity(struct reader *reader, struct wish *wish)
{
    struct actor actor = wish->identity != NULL ? wish->identity->actor : ANONYMOUS;
    struct err err;
    int status = connected(reader, &err);
    if (status == 0 && wish->kind == WISH_SESSION)
        status = session_check(reader->db, reader->arena, &actor, &err);
    else if (status == 0)
        status = identify(reader->db, reader->keys, reader->arena, wish->token, &actor, &err);
    struct identity *identity = status == 0 ? identity_new(&actor) : calloc(1, sizeof *identity);
    identity_free(&wish->identity);
    wish->identity = identity;
    if (status != 0 && err.kind != ERR_DENIED)
        complain(reader, "asking who a client is", &err);
    if (identity == NULL)
        return;
    identity->outcome = status == 0 ? IDENTITY_FOUND : err.kind == ERR_DENIED ? IDENTITY_REFUSED : IDENTITY_UNKNOWN;
    snprintf(identity->detail, sizeof identity->detail, "%.95s", status != 0 ? err.text : "");
}

static void find_head(struct reader *reader, struct wish *wish)
{
    struct log_head head;
    struct err err;
    wish->failed = connected(reader, &err) != 0 || eventlog_head(reader->db, reader->arena, &head, &err) != 0;
    if (wish->failed)
        complain(reader, "asking for the log's end", &err);
    else
        wish->head = head.position;
}

void reader_answer(struct reader *reader, struct wish *wish)
{
    arena_reset(reader->arena);
    if (wish->kind == WISH_IDENTITY || wish->kind == WISH_SESSION)
        find_identity(reader, wish);
    else
        find_head(reader, wish);
    arena_reset(reader->arena);
    crypt_wipe_stack();
}
