/* The thread that follows the log. See source.h. */
#include "notifier/source.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/model.h"
#include "events/tail.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ARENA_LIMIT = 128 * 1024 * 1024, SCRATCH_LIMIT = 512 * 1024 * 1024, TURN_US = 200000, RELOAD_US = 2000000 };

struct source {
    const struct conf *conf;
    struct withdrawn *withdrawn;
    struct sink sink;
    pthread_t thread;
    bool runs;
    atomic_bool ending, live;
    struct arena *scratch; /* for one event */
    struct sql *db;        /* for what is withdrawn */
    int64_t next_reload;   /* clock_steady */
};

static void rest(struct source *source)
{
    const struct timespec span = {0, TURN_US * 1000};
    if (!atomic_load(&source->ending))
        nanosleep(&span, NULL);
}

static int load_withdrawn(struct source *source, struct arena *arena, struct err *err)
{
    if (source->db == NULL && sql_open(&source->db, source->conf, err) != 0)
        return -1;
    return withdrawn_load(source->withdrawn, source->db, arena, &MODEL, err);
}

/*
 * A tail, and what is withdrawn where it begins or a moment later: an event that the tail brings again changes nothing
 * then. NULL when it is time to end.
 */
static struct tail *open_tail(struct source *source, struct arena *arena)
{
    struct tail *tail = NULL;
    struct err err;
    bool complained = false;
    while (!atomic_load(&source->ending)) {
        if (tail_open(&tail, source->conf, &MODEL, TAIL_FROM_NOW, &err) == 0) {
            if (load_withdrawn(source, arena, &err) == 0)
                return tail;
            tail_close(&tail);
        }
        if (!complained)
            log_warning("cannot follow the log yet: %s", err.text);
        complained = true;
        rest(source);
    }
    return NULL;
}

/* Until there is memory: a stream must not skip. NULL when it is time to end. */
static struct record *render(struct source *source, const struct envelope *event)
{
    while (!atomic_load(&source->ending)) {
        arena_reset(source->scratch);
        struct record *record = record_new(source->scratch, event, model_effect(&MODEL, event));
        if (record != NULL && withdrawn_note(source->withdrawn, record))
            return record;
        record_drop(&record);
        log_error("no memory for position %lld; trying again", (long long)event->position);
        rest(source);
    }
    return NULL;
}

static void bring(struct source *source, const struct event_list *list)
{
    struct records records = {0};
    for (size_t i = 0; i < list->count; i++) {
        struct record *record = render(source, &list->events[i]);
        if (record == NULL)
            break;
        if (!records_add(&records, record))
            abort(); /* there is nobody to wait for */
    }
    if (records.count > 0)
        source->sink.bring(source->sink.context, &records);
    records_free(&records);
}

/* In direct mode a thing is withdrawn without an event. */
static void reload(struct source *source, struct arena *arena)
{
    struct err err;
    if (strcmp(source->conf->features_articles, "direct") != 0 || clock_steady() < source->next_reload)
        return;
    source->next_reload = clock_steady() + RELOAD_US;
    if (load_withdrawn(source, arena, &err) != 0)
        log_warning("reading what is withdrawn: %s", err.text);
}

static void note_live(struct source *source, bool live)
{
    if (atomic_exchange(&source->live, live) != live)
        source->sink.live(source->sink.context, live);
}

static void follow(struct source *source, struct tail *tail, struct arena *arena)
{
    struct event_list list;
    while (!atomic_load(&source->ending) && !tail_lost(tail)) {
        arena_reset(arena);
        tail_next(tail, arena, TURN_US, &list);
        note_live(source, tail_live(tail));
        bring(source, &list);
        reload(source, arena);
    }
}

static void *source_main(void *context)
{
    struct source *source = context;
    struct arena *arena = arena_new(ARENA_LIMIT);
    struct tail *tail;
    source->scratch = arena_new(SCRATCH_LIMIT);
    while (arena != NULL && source->scratch != NULL && (tail = open_tail(source, arena)) != NULL) {
        log_info("following the log from position %lld", (long long)tail_position(tail));
        source->sink.begin(source->sink.context, tail_position(tail));
        follow(source, tail, arena);
        tail_close(&tail);
        note_live(source, false);
    }
    sql_close(&source->db);
    arena_free(&source->scratch);
    arena_free(&arena);
    sql_thread_end();
    return NULL;
}

int source_start(struct source **source, const struct conf *conf, struct withdrawn *withdrawn, const struct sink *sink,
                 struct err *err)
{
    sigset_t all, before;
    struct source *s = *source = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    *s = (struct source){.conf = conf, .withdrawn = withdrawn, .sink = *sink};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->runs = pthread_create(&s->thread, NULL, source_main, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (s->runs)
        return 0;
    source_stop(source);
    return fail(err, ERR_UNAVAILABLE, "the thread that follows the log cannot be started");
}

void source_end(struct source *source)
{
    if (source != NULL)
        atomic_store(&source->ending, true);
}

void source_stop(struct source **source)
{
    if (*source == NULL)
        return;
    source_end(*source);
    if ((*source)->runs)
        pthread_join((*source)->thread, NULL);
    free(*source);
    *source = NULL;
}

bool source_live(const struct source *source)
{
    return atomic_load(&source->live);
}
