/* The two threads behind the loop. See source.h. */
#include "notifier/source.h"

#include "base/log.h"
#include "domain/model.h"
#include "domain/session.h"
#include "events/bus.h"
#include "events/tail.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { ARENA_LIMIT = 128 * 1024 * 1024, TURN_US = 200000, CHUNK = 100, QUEUE_MOST = 100000 };

struct source {
    const struct conf *conf;
    int wake;
    pthread_t tail_thread, history_thread;
    bool tail_runs, history_runs;
    atomic_bool ending;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t asked, taken;
    bool began;
    int64_t began_at;
    struct records arrived;
    size_t room;
    struct wish *wishes, **wishes_end, *answers;
};

void records_free(struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        record_drop(&records->items[i]);
    free(records->items);
    *records = (struct records){0};
}

static void wake_loop(struct source *source)
{
    const uint64_t one = 1;
    /* It can only fail when the counter is full, and then the loop is awake. */
    if (write(source->wake, &one, sizeof one) < 0 && errno != EAGAIN)
        log_error("waking the loop: %s", strerror(errno));
}

static void rest(struct source *source)
{
    const struct timespec span = {0, TURN_US * 1000};
    if (!atomic_load(&source->ending))
        nanosleep(&span, NULL);
}

/* Records of events; what memory does not allow is left off the end. */
static struct records render_all(struct arena *arena, const struct event_list *list, const bool *withdrawn)
{
    struct records made = {calloc(list->count + 1, sizeof(struct record *)), 0};
    while (made.items != NULL && made.count < list->count) {
        const struct envelope *event = &list->events[made.count];
        struct record *record = record_new(arena, event, model_effect(&MODEL, event));
        if (record == NULL)
            break;
        record->withdrawn = withdrawn[made.count];
        made.items[made.count++] = record;
    }
    return made;
}

/* Hands one more record to the loop; waits while that is far behind, so that the queue stays bounded. */
static void hand_over(struct source *source, struct record *record)
{
    pthread_mutex_lock(&source->lock);
    while (source->arrived.count >= QUEUE_MOST && !atomic_load(&source->ending))
        pthread_cond_wait(&source->taken, &source->lock);
    if (source->arrived.count == source->room) {
        size_t room = source->room == 0 ? 256 : source->room * 2;
        struct record **items = realloc(source->arrived.items, room * sizeof(struct record *));
        if (items == NULL)
            abort(); /* a stream must not skip, and there is nobody to wait for */
        source->arrived.items = items;
        source->room = room;
    }
    source->arrived.items[source->arrived.count++] = record;
    pthread_mutex_unlock(&source->lock);
}

static void follow(struct source *source, struct tail *tail, struct arena *arena)
{
    struct event_list list;
    while (!atomic_load(&source->ending)) {
        arena_reset(arena);
        tail_next(tail, arena, TURN_US, &list);
        for (size_t i = 0; i < list.count;) {
            struct record *record = record_new(arena, &list.events[i], model_effect(&MODEL, &list.events[i]));
            if (record != NULL) {
                hand_over(source, record);
                i++;
                continue;
            }
            log_error("no memory for position %lld; trying again", (long long)list.events[i].position);
            rest(source);
            if (atomic_load(&source->ending))
                return;
        }
        if (list.count > 0)
            wake_loop(source);
    }
}

static struct tail *open_tail(struct source *source)
{
    struct tail *tail = NULL;
    struct err err;
    bool complained = false;
    while (!atomic_load(&source->ending)) {
        if (tail_open(&tail, source->conf, &MODEL, TAIL_FROM_NOW, &err) == 0)
            return tail;
        if (!complained)
            log_warning("cannot follow the log yet: %s", err.text);
        complained = true;
        rest(source);
    }
    return NULL;
}

static void *tail_main(void *context)
{
    struct source *source = context;
    struct arena *arena = arena_new(ARENA_LIMIT);
    struct tail *tail = arena != NULL ? open_tail(source) : NULL;
    if (tail != NULL) {
        pthread_mutex_lock(&source->lock);
        source->began = true;
        source->began_at = tail_position(tail);
        pthread_mutex_unlock(&source->lock);
        log_info("following the log from position %lld", (long long)tail_position(tail));
        wake_loop(source);
        follow(source, tail, arena);
    }
    tail_close(&tail);
    arena_free(&arena);
    sql_thread_end();
    return NULL;
}

/* The oldest wish; NULL when it is time to end. */
static struct wish *next_wish(struct source *source)
{
    pthread_mutex_lock(&source->lock);
    while (source->wishes == NULL && !atomic_load(&source->ending))
        pthread_cond_wait(&source->asked, &source->lock);
    struct wish *wish = atomic_load(&source->ending) ? NULL : source->wishes;
    if (wish != NULL) {
        source->wishes = wish->next;
        if (source->wishes == NULL)
            source->wishes_end = &source->wishes;
    }
    pthread_mutex_unlock(&source->lock);
    return wish;
}

/* The first events that are no more than these bytes together, and one in any case: a client holds them until it reads.
 */
static void cut_to(struct event_list *list, size_t bytes)
{
    size_t total = 0, count = 0;
    while (count < list->count && (count == 0 || total + list->events[count].data.len <= bytes))
        total += list->events[count++].data.len;
    list->count = count;
}

/* What the wish is to be granted with, and which of it is withdrawn. */
static int read_chunk(struct source *source, struct sql **db, struct arena *arena, const struct wish *wish,
                      struct event_list *list, bool **withdrawn, struct err *err)
{
    struct err upcast;
    if ((*db == NULL && sql_open(db, source->conf, err) != 0) ||
        eventlog_read(*db, arena, wish->after, CHUNK, list, err) != 0)
        return -1;
    /* Only what the tail has handed out is known to be durable. */
    while (list->count > 0 && list->events[list->count - 1].position > wish->upto)
        list->count--;
    for (size_t i = 0; i < list->count; i++)
        if (model_upcast(&MODEL, &list->events[i], arena, &upcast) != 0)
            log_warning("%s", upcast.text);
    cut_to(list, (size_t)source->conf->notifier_client_buffer / 2);
    *withdrawn = arena_alloc(arena, list->count + 1);
    if (*withdrawn == NULL)
        return fail(err, ERR_INTERNAL, "no room for a chunk");
    return MODEL.withdrawn(*db, arena, list->events, list->count, *withdrawn, err);
}

struct wish *wish_new(void *client, const char *token)
{
    struct wish *wish = calloc(1, sizeof *wish);
    if (wish == NULL)
        return NULL;
    wish->client = client;
    wish->token = token != NULL ? strdup(token) : NULL;
    if (token != NULL && wish->token == NULL) {
        free(wish);
        return NULL;
    }
    return wish;
}

void wish_free(struct wish *wish)
{
    if (wish->token != NULL)
        crypt_wipe(wish->token, strlen(wish->token));
    free(wish->token);
    free(wish->identity.texts);
    records_free(&wish->found);
    free(wish);
}

/* The actor's texts move from the arena into one block. */
static bool keep_actor(struct identity *identity, const struct actor *actor)
{
    size_t id = strlen(actor->user_id) + 1, session = strlen(actor->session_id) + 1;
    size_t permissions = strlen(actor->permissions) + 1, scopes = actor->scopes != NULL ? strlen(actor->scopes) + 1 : 0;
    char *at = identity->texts = malloc(id + session + permissions + scopes);
    if (at == NULL)
        return false;
    identity->actor = (struct actor){.user_id = memcpy(at, actor->user_id, id),
                                     .session_id = memcpy(at + id, actor->session_id, session),
                                     .permissions = memcpy(at + id + session, actor->permissions, permissions),
                                     .expires = actor->expires};
    if (scopes > 0)
        identity->actor.scopes = memcpy(at + id + session + permissions, actor->scopes, scopes);
    return true;
}

static void find_identity(struct source *source, struct sql **db, struct keys *keys, struct arena *arena,
                          struct wish *wish)
{
    struct actor actor;
    struct err err;
    int status = *db == NULL ? sql_open(db, source->conf, &err) : 0;
    if (status == 0)
        status = identify(*db, keys, arena, wish->token, &actor, &err);
    wish->identity.outcome = IDENTITY_UNKNOWN;
    if (status == 0 && keep_actor(&wish->identity, &actor)) {
        wish->identity.outcome = IDENTITY_FOUND;
    } else if (status != 0 && err.kind == ERR_DENIED) {
        wish->identity.outcome = IDENTITY_REFUSED;
        snprintf(wish->identity.detail, sizeof wish->identity.detail, "%.95s", err.text);
    } else if (status != 0) {
        log_warning("asking who a client is: %s", err.text);
    }
    arena_reset(arena);
}

static void grant(struct source *source, struct sql **db, struct arena *arena, struct wish *wish)
{
    struct event_list list = {0};
    bool *withdrawn = NULL;
    struct err err;
    wish->failed = read_chunk(source, db, arena, wish, &list, &withdrawn, &err) != 0;
    if (wish->failed)
        log_warning("reading the log after %lld: %s", (long long)wish->after, err.text);
    else
        wish->found = render_all(arena, &list, withdrawn);
    arena_reset(arena);
}

static void *history_main(void *context)
{
    struct source *source = context;
    struct arena *arena = arena_new(ARENA_LIMIT);
    struct sql *db = NULL;
    struct keys *keys = keys_new();
    for (struct wish *wish; arena != NULL && keys != NULL && (wish = next_wish(source)) != NULL;) {
        if (wish->token != NULL)
            find_identity(source, &db, keys, arena, wish);
        else
            grant(source, &db, arena, wish);
        pthread_mutex_lock(&source->lock);
        wish->next = source->answers;
        source->answers = wish;
        pthread_mutex_unlock(&source->lock);
        wake_loop(source);
    }
    keys_free(&keys);
    sql_close(&db);
    arena_free(&arena);
    sql_thread_end();
    return NULL;
}

static bool start_thread(pthread_t *thread, void *(*run)(void *), struct source *source)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, NULL, run, source) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

int source_start(struct source **source, const struct conf *conf, struct err *err)
{
    struct source *s = *source = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    s->conf = conf;
    s->wishes_end = &s->wishes;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->asked, NULL);
    pthread_cond_init(&s->taken, NULL);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->tail_runs = s->wake >= 0 && start_thread(&s->tail_thread, tail_main, s);
    s->history_runs = s->tail_runs && start_thread(&s->history_thread, history_main, s);
    if (s->history_runs)
        return 0;
    source_stop(source);
    return fail(err, ERR_UNAVAILABLE, "the notifier's threads cannot be started");
}

static void free_wishes(struct wish *wish)
{
    while (wish != NULL) {
        struct wish *next = wish->next;
        wish_free(wish);
        wish = next;
    }
}

void source_stop(struct source **source)
{
    struct source *s = *source;
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->ending, true);
    pthread_cond_broadcast(&s->asked);
    pthread_cond_broadcast(&s->taken);
    pthread_mutex_unlock(&s->lock);
    if (s->tail_runs)
        pthread_join(s->tail_thread, NULL);
    if (s->history_runs)
        pthread_join(s->history_thread, NULL);
    records_free(&s->arrived);
    free_wishes(s->wishes);
    free_wishes(s->answers);
    if (s->wake >= 0)
        close(s->wake);
    pthread_cond_destroy(&s->taken);
    pthread_cond_destroy(&s->asked);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *source = NULL;
}

int source_descriptor(const struct source *source)
{
    return source->wake;
}

void source_clear(struct source *source)
{
    uint64_t count;
    if (read(source->wake, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("clearing the wake-up: %s", strerror(errno));
}

bool source_began(struct source *source, int64_t *position)
{
    pthread_mutex_lock(&source->lock);
    bool began = source->began;
    *position = source->began_at;
    pthread_mutex_unlock(&source->lock);
    return began;
}

void source_take(struct source *source, struct records *records)
{
    pthread_mutex_lock(&source->lock);
    *records = source->arrived;
    source->arrived = (struct records){0};
    source->room = 0;
    pthread_cond_signal(&source->taken);
    pthread_mutex_unlock(&source->lock);
}

void source_ask(struct source *source, struct wish *wish)
{
    wish->next = NULL;
    pthread_mutex_lock(&source->lock);
    *source->wishes_end = wish;
    source->wishes_end = &wish->next;
    pthread_cond_signal(&source->asked);
    pthread_mutex_unlock(&source->lock);
}

struct wish *source_answered(struct source *source)
{
    pthread_mutex_lock(&source->lock);
    struct wish *wish = source->answers;
    source->answers = NULL;
    pthread_mutex_unlock(&source->lock);
    return wish;
}
