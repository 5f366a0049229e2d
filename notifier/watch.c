/* Readiness. See watch.h; the canary: canary.c. */
#include "notifier/watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "notifier/canary.h"
#include "notifier/server.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SECOND_US = 1000000, ARRIVAL_US = 3000000, LOOK_US = 5000, FAILED_US = 5000000 };

struct watch {
    struct server *server;
    pthread_t thread;
    bool runs;
    struct perch *perch; /* of the thread */
    int64_t behind_head; /* the log's end when that began */
    /* clock_steady; 0: not behind, none, none that did not come back */
    int64_t behind_since, last_canary, last_lost;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t asked;
    atomic_bool ending;
    struct wish *wishes;
    struct watch_state state;
};

void watch_read(struct watch *watch, struct watch_state *state)
{
    pthread_mutex_lock(&watch->lock);
    *state = watch->state;
    pthread_mutex_unlock(&watch->lock);
    int64_t reached = server_reached(watch->server);
    state->behind = state->head > reached ? state->head - reached : 0;
}

void watch_ask(struct watch *watch, struct wish *wish)
{
    pthread_mutex_lock(&watch->lock);
    wish->next = watch->wishes;
    watch->wishes = wish;
    pthread_cond_signal(&watch->asked);
    pthread_mutex_unlock(&watch->lock);
}

static int look(struct watch *watch, int64_t *head, struct err *err)
{
    if (perch_look(watch->perch, head, err) != 0)
        return -1;
    int64_t now = clock_steady();
    int64_t reached = server_reached(watch->server);
    bool behind = reached < *head;
    /* What was missing then is there: what is missing now is younger. */
    if (behind && (watch->behind_since == 0 || reached >= watch->behind_head)) {
        watch->behind_since = now;
        watch->behind_head = *head;
    }
    if (!behind)
        watch->behind_since = 0;
    pthread_mutex_lock(&watch->lock);
    watch->state.head = *head;
    watch->state.lag_us = behind ? now - watch->behind_since : 0;
    pthread_mutex_unlock(&watch->lock);
    return 0;
}

/* Until all loops have been handed a position. */
static bool await_arrival(struct watch *watch, int64_t position)
{
    const struct timespec moment = {0, LOOK_US * 1000};
    int64_t end = clock_steady() + ARRIVAL_US;
    while (server_reached(watch->server) < position && clock_steady() < end && !atomic_load(&watch->ending))
        nanosleep(&moment, NULL);
    return server_reached(watch->server) >= position;
}

/* One canary serves for a while, also one that did not come back: each is an event for ever. */
static int fly(struct watch *watch, struct err *err)
{
    const struct conf *conf = server_conf(watch->server);
    int64_t start = clock_steady(), position;
    if (watch->last_canary > 0 && start < watch->last_canary + conf->notifier_canary_s * SECOND_US)
        return 0;
    if (watch->last_lost > 0 && start < watch->last_lost + FAILED_US)
        return fail(err, ERR_UNAVAILABLE, "the last canary has not come back");
    watch->last_lost = start;
    if (perch_fly(watch->perch, ARRIVAL_US, &position, err) != 0)
        return -1;
    if (!await_arrival(watch, position))
        return fail(err, ERR_UNAVAILABLE, "Position %" PRId64 " has not come to all loops.", position);
    watch->last_lost = 0;
    watch->last_canary = clock_steady();
    pthread_mutex_lock(&watch->lock);
    watch->state.canaries++;
    watch->state.canary_us = clock_steady() - start;
    pthread_mutex_unlock(&watch->lock);
    return 0;
}

/* Whether what is committed arrives; what wish says then. */
static void answer(struct watch *watch, struct wish *wish)
{
    int64_t head;
    struct err err;
    bool migrated;
    wish->failed = true;
    if (perch_migrated(watch->perch, &migrated, &err) != 0 || look(watch, &head, &err) != 0) {
        log_warning("not ready: %s", err.text);
        snprintf(wish->detail, sizeof wish->detail, "The database cannot be asked.");
    } else if (!migrated) {
        snprintf(wish->detail, sizeof wish->detail, "The database is not migrated yet.");
    } else if (!await_arrival(watch, head)) {
        snprintf(wish->detail, sizeof wish->detail,
                 "The log is at position %" PRId64 ", the streams are at %" PRId64 ".", head,
                 server_reached(watch->server));
    } else if (fly(watch, &err) != 0) {
        log_warning("not ready: %s", err.text);
        snprintf(wish->detail, sizeof wish->detail, "An event that was committed now does not arrive.");
    } else {
        wish->failed = false;
        snprintf(wish->detail, sizeof wish->detail,
                 "{\"status\":\"ready\",\"position\":%" PRId64 ",\"by\":\"%s\",\"canary_ms\":%.3f}",
                 server_reached(watch->server), source_live(watch->server->source) ? "bus" : "log",
                 (double)watch->state.canary_us / 1000);
    }
}

/* All that ask together get one answer. */
static void answer_all(struct watch *watch, struct wish *wishes)
{
    const struct wish *first = wishes;
    answer(watch, wishes);
    for (struct wish *wish = wishes->next; wish != NULL; wish = wish->next) {
        wish->failed = first->failed;
        snprintf(wish->detail, sizeof wish->detail, "%s", first->detail);
    }
    for (struct wish *next; wishes != NULL; wishes = next) {
        next = wishes->next;
        loop_answer(wishes);
    }
}

/* The wishes that came within a second, or none. */
static struct wish *wait_for_wishes(struct watch *watch, bool *goes_on)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec++;
    pthread_mutex_lock(&watch->lock);
    while (watch->wishes == NULL && !watch->ending &&
           pthread_cond_timedwait(&watch->asked, &watch->lock, &end) != ETIMEDOUT)
        ;
    *goes_on = !watch->ending;
    struct wish *wishes = *goes_on ? watch->wishes : NULL;
    if (*goes_on)
        watch->wishes = NULL;
    pthread_mutex_unlock(&watch->lock);
    return wishes;
}

static void *watch_main(void *context)
{
    struct watch *watch = context;
    int64_t head;
    struct err err;
    bool goes_on = true;
    while (goes_on) {
        struct wish *wishes = wait_for_wishes(watch, &goes_on);
        if (wishes != NULL)
            answer_all(watch, wishes);
        else if (goes_on && look(watch, &head, &err) != 0)
            log_debug("asking for the log's end: %s", err.text);
    }
    perch_free(&watch->perch);
    return NULL;
}

int watch_start(struct watch **watch, struct server *server, struct err *err)
{
    sigset_t all, before;
    struct watch *w = *watch = calloc(1, sizeof *w);
    if (w == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    *w = (struct watch){.server = server,
                        .perch = perch_new(server->first, server->canary_key),
                        .state = {.head = -1, .canary_us = -1}};
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t steady;
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&w->asked, &steady);
    pthread_condattr_destroy(&steady);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->runs = w->perch != NULL && pthread_create(&w->thread, NULL, watch_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (w->runs)
        return 0;
    watch_stop(watch);
    return fail(err, ERR_UNAVAILABLE, "the thread that watches cannot be started");
}

void watch_stop(struct watch **watch)
{
    struct watch *w = *watch;
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->asked);
    pthread_mutex_unlock(&w->lock);
    if (w->runs)
        pthread_join(w->thread, NULL);
    for (struct wish *wish = w->wishes, *next; wish != NULL; wish = next) {
        next = wish->next;
        wish_free(wish);
    }
    if (!w->runs)
        perch_free(&w->perch);
    pthread_cond_destroy(&w->asked);
    pthread_mutex_destroy(&w->lock);
    free(w);
    *watch = NULL;
}
