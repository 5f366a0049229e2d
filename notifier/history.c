/* Wishes, and the chunks that are kept. See history.h; what a helper reads: history_read.c. */
#include "notifier/history.h"

#include "base/log.h"
#include "notifier/history_read.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The first is for what is no event. */
enum { HELPERS = 3, PURGE_LEAST = 64 };

struct helper {
    struct history *history;
    pthread_t thread;
    bool runs;
    int64_t first, last; /* what it is reading; last < first: nothing */
    unsigned epoch;      /* of the history, when it began to */
};

struct history {
    const struct conf *conf;
    void (*answer)(struct wish *);
    struct helper helpers[HELPERS];

    atomic_bool trust_bus;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t asked;
    bool ending;
    struct wish *events, *others, **others_end;
    size_t waiting;
    size_t other_count, purge_at; /* of others: when those are looked for whose clients have gone */
    int64_t sweep;  /* where the last chunk ended */
    unsigned epoch; /* rises when the log is another one: what was read before is of no use */
    struct chunk *chunks;
    size_t bytes, most;
    uint64_t clock, from_bus, from_log;
};

void chunk_drop(struct chunk **chunk)
{
    if (*chunk != NULL && atomic_fetch_sub_explicit(&(*chunk)->references, 1, memory_order_acq_rel) == 1) {
        records_free(&(*chunk)->records);
        free(*chunk);
    }
    *chunk = NULL;
}

struct record *chunk_at(const struct chunk *chunk, int64_t position)
{
    if (chunk == NULL || position < chunk->first || position > chunk->last)
        return NULL;
    return chunk->records.items[position - chunk->first];
}

static struct chunk *keep(struct chunk *chunk)
{
    atomic_fetch_add_explicit(&chunk->references, 1, memory_order_relaxed);
    return chunk;
}

static const char *put(char **at, const char *text)
{
    if (text == NULL)
        return NULL;
    char *start = *at;
    *at = stpcpy(start, text) + 1;
    return start;
}

/* The actor's texts are copied into one block. */
static bool keep_actor(struct identity *identity, const struct actor *actor)
{
    const char *const texts[] = {actor->user_id, actor->session_id, actor->permissions, actor->scopes, actor->kid};
    size_t size = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        size += texts[i] != NULL ? strlen(texts[i]) + 1 : 0;
    char *at = identity->texts = malloc(size);
    if (at == NULL)
        return false;
    identity->actor = (struct actor){.expires = actor->expires};
    identity->actor.user_id = put(&at, actor->user_id);
    identity->actor.session_id = put(&at, actor->session_id);
    identity->actor.permissions = put(&at, actor->permissions);
    identity->actor.scopes = put(&at, actor->scopes);
    identity->actor.kid = put(&at, actor->kid);
    return true;
}

struct identity *identity_new(const struct actor *actor)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (identity != NULL && !keep_actor(identity, actor))
        identity_free(&identity);
    return identity;
}

void identity_free(struct identity **identity)
{
    if (*identity != NULL)
        free((*identity)->texts);
    free(*identity);
    *identity = NULL;
}

struct wish *wish_new(enum wish_kind kind, struct loop *loop, struct stream *client, const char *token)
{
    struct wish *wish = calloc(1, sizeof *wish);
    if (wish == NULL)
        return NULL;
    wish->kind = kind;
    wish->loop = loop;
    atomic_init(&wish->client, client);
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
    identity_free(&wish->identity);
    chunk_drop(&wish->chunk);
    free(wish);
}

/* Takes a chunk out of the cache; whoever holds it goes on. */
static void forget(struct history *history, struct chunk **at)
{
    struct chunk *chunk = *at;
    *at = chunk->next;
    history->bytes -= chunk->bytes;
    chunk_drop(&chunk);
}

static void forget_oldest(struct history *history)
{
    struct chunk **oldest = &history->chunks;
    for (struct chunk **at = &history->chunks; *at != NULL; at = &(*at)->next)
        if ((*at)->used < (*oldest)->used)
            oldest = at;
    forget(history, oldest);
}

/* Into the cache, in place of those that begin where it does: they ended earlier. */
static void keep_chunk(struct history *history, struct chunk *chunk)
{
    for (struct chunk **at = &history->chunks; *at != NULL;)
        if ((*at)->first == chunk->first)
            forget(history, at);
        else
            at = &(*at)->next;
    while (history->chunks != NULL && history->bytes + chunk->bytes > history->most)
        forget_oldest(history);
    chunk->used = ++history->clock;
    chunk->next = history->chunks;
    history->chunks = keep(chunk);
    history->bytes += chunk->bytes;
}

struct chunk *history_find(struct history *history, int64_t after)
{
    pthread_mutex_lock(&history->lock);
    struct chunk *chunk = history->chunks;
    while (chunk != NULL && chunk_at(chunk, after + 1) == NULL)
        chunk = chunk->next;
    if (chunk != NULL) {
        chunk->used = ++history->clock;
        keep(chunk);
    }
    pthread_mutex_unlock(&history->lock);
    return chunk;
}

void history_trust_bus(struct history *history, bool trust)
{
    atomic_store(&history->trust_bus, trust);
}

void history_forget(struct history *history)
{
    pthread_mutex_lock(&history->lock);
    while (history->chunks != NULL)
        forget(history, &history->chunks);
    history->epoch++;
    pthread_mutex_unlock(&history->lock);
}

void history_count(struct history *history, struct history_counts *counts)
{
    pthread_mutex_lock(&history->lock);
    *counts = (struct history_counts){history->from_bus, history->from_log, history->bytes, history->waiting};
    pthread_mutex_unlock(&history->lock);
}

/* Where nothing is granted for a while, clients that come and go leave no more behind than those that are there. */
static void purge_others(struct history *history)
{
    struct wish **at = &history->others;
    while (*at != NULL) {
        struct wish *wish = *at;
        if (atomic_load(&wish->client) != NULL) {
            at = &wish->next;
            continue;
        }
        *at = wish->next;
        history->waiting--;
        history->other_count--;
        wish_free(wish);
    }
    history->others_end = at;
    history->purge_at = 2 * history->other_count > PURGE_LEAST ? 2 * history->other_count : PURGE_LEAST;
}

void history_ask(struct history *history, struct wish *wish)
{
    wish->next = NULL;
    pthread_mutex_lock(&history->lock);
    if (wish->kind == WISH_EVENTS) {
        wish->next = history->events;
        history->events = wish;
    } else {
        *history->others_end = wish;
        history->others_end = &wish->next;
        if (++history->other_count >= history->purge_at)
            purge_others(history);
    }
    history->waiting++;
    pthread_cond_broadcast(&history->asked); /* not all of them take all kinds */
    pthread_mutex_unlock(&history->lock);
}

static bool being_read(const struct history *history, int64_t position)
{
    for (int i = 0; i < HELPERS; i++)
        if (position >= history->helpers[i].first && position <= history->helpers[i].last)
            return true;
    return false;
}

/* Wishes whose clients have gone meanwhile. */
static void forget_gone(struct history *history)
{
    for (struct wish **at = &history->events; *at != NULL;) {
        struct wish *wish = *at;
        if (atomic_load(&wish->client) != NULL) {
            at = &wish->next;
            continue;
        }
        *at = wish->next;
        history->waiting--;
        wish_free(wish);
    }
}

/* The next wish for events above the sweep, or the lowest; NULL: none that is not being granted. */
static const struct wish *next_above(struct history *history)
{
    const struct wish *above = NULL, *lowest = NULL;
    forget_gone(history);
    for (const struct wish *wish = history->events; wish != NULL; wish = wish->next) {
        if (being_read(history, wish->after + 1))
            continue;
        if (lowest == NULL || wish->after < lowest->after)
            lowest = wish;
        if (wish->after >= history->sweep && (above == NULL || wish->after < above->after))
            above = wish;
    }
    return above != NULL ? above : lowest;
}

static struct wish *take_other(struct history *history)
{
    struct wish *wish = history->others;
    if (wish == NULL)
        return NULL;
    history->others = wish->next;
    if (history->others == NULL)
        history->others_end = &history->others;
    history->waiting--;
    history->other_count--;
    return wish;
}

static bool find_work(struct helper *helper, struct wish **other, const struct wish **wish)
{
    if (helper == helper->history->helpers)
        *other = take_other(helper->history);
    else
        *wish = next_above(helper->history);
    return *other != NULL || *wish != NULL;
}

/* Waits for work: another wish, or range becomes what is to be read. False when it is time to end. */
static bool next_work(struct helper *helper, struct wish **other, struct range *range)
{
    struct history *history = helper->history;
    const struct wish *wish = NULL;
    *other = NULL;
    pthread_mutex_lock(&history->lock);
    while (!history->ending && !find_work(helper, other, &wish))
        pthread_cond_wait(&history->asked, &history->lock);
    bool goes_on = !history->ending;
    if (wish != NULL) {
        *range = range_around(wish->after, wish->upto);
        helper->first = range->first;
        helper->last = range->last;
        helper->epoch = history->epoch;
    }
    pthread_mutex_unlock(&history->lock);
    if (!goes_on && *other != NULL) {
        wish_free(*other);
        *other = NULL;
    }
    return goes_on;
}

/* The wishes that a chunk grants, or, where there is none, those that it was read for. */
static struct wish *take_granted(struct history *history, const struct range *range, struct chunk *chunk)
{
    struct wish *granted = NULL;
    for (struct wish **at = &history->events; *at != NULL;) {
        struct wish *wish = *at;
        bool has = chunk_at(chunk, wish->after + 1) != NULL;
        if (!has && wish->after != range->after) {
            at = &wish->next;
            continue;
        }
        *at = wish->next;
        wish->chunk = has ? keep(chunk) : NULL;
        wish->failed = !has;
        wish->next = granted;
        granted = wish;
        history->waiting--;
    }
    return granted;
}

static void grant(struct helper *helper, const struct range *range, struct chunk *chunk, bool by_bus)
{
    struct history *history = helper->history;
    pthread_mutex_lock(&history->lock);
    helper->first = 0;
    helper->last = -1;
    if (helper->epoch != history->epoch)
        chunk = NULL;
    if (chunk != NULL) {
        keep_chunk(history, chunk);
        history->sweep = chunk->last;
        history->from_bus += by_bus;
        history->from_log += !by_bus;
    }
    struct wish *granted = take_granted(history, range, chunk);
    pthread_cond_broadcast(&history->asked);
    pthread_mutex_unlock(&history->lock);
    for (struct wish *next; granted != NULL; granted = next) {
        next = granted->next;
        history->answer(granted);
    }
}

static void *helper_main(void *context)
{
    struct helper *helper = context;
    struct reader *reader = reader_new(helper->history->conf);
    struct wish *other;
    struct range range;
    while (reader != NULL && next_work(helper, &other, &range)) {
        bool by_bus = atomic_load(&helper->history->trust_bus);
        if (other != NULL) {
            reader_answer(reader, other);
            helper->history->answer(other);
            continue;
        }
        struct chunk *chunk = reader_read(reader, &range, &by_bus);
        grant(helper, &range, chunk, by_bus);
        chunk_drop(&chunk);
    }
    reader_free(&reader);
    return NULL;
}

static bool start_helper(struct history *history, struct helper *helper)
{
    sigset_t all, before;
    *helper = (struct helper){.history = history, .first = 0, .last = -1};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    helper->runs = pthread_create(&helper->thread, NULL, helper_main, helper) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return helper->runs;
}

int history_start(struct history **history, const struct conf *conf, size_t bytes, void (*answer)(struct wish *),
                  struct err *err)
{
    struct history *h = *history = calloc(1, sizeof *h);
    if (h == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    h->conf = conf;
    h->most = bytes;
    h->answer = answer;
    h->others_end = &h->others;
    h->purge_at = PURGE_LEAST;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->asked, NULL);
    bool ok = true;
    for (int i = 0; i < HELPERS; i++)
        h->helpers[i] = (struct helper){.last = -1};
    for (int i = 0; i < HELPERS && ok; i++)
        ok = start_helper(h, &h->helpers[i]);
    if (ok)
        return 0;
    history_stop(history);
    return fail(err, ERR_UNAVAILABLE, "the helper threads cannot be started");
}

static void free_wishes(struct wish *wish)
{
    while (wish != NULL) {
        struct wish *next = wish->next;
        wish_free(wish);
        wish = next;
    }
}

void history_stop(struct history **history)
{
    struct history *h = *history;
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->ending = true;
    pthread_cond_broadcast(&h->asked);
    pthread_mutex_unlock(&h->lock);
    for (int i = 0; i < HELPERS; i++)
        if (h->helpers[i].runs)
            pthread_join(h->helpers[i].thread, NULL);
    free_wishes(h->events);
    free_wishes(h->others);
    history_forget(h);
    pthread_cond_destroy(&h->asked);
    pthread_mutex_destroy(&h->lock);
    free(h);
    *history = NULL;
}
