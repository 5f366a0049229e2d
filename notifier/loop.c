/* A loop. See loop.h. */
#include "notifier/loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "notifier/request.h"
#include "notifier/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ARENA_LIMIT = 4 * 1024 * 1024,
    INBOX_MOST = 50000,
    FAN_SHARE = 16,      /* of the time, at most one part in so many goes to sending while few events arrive */
    FAN_MOST_US = 34000, /* but an event waits no longer than this */
    DRAIN_US = 2000000,
};

static void for_each(struct loop *loop, void (*each)(struct stream *))
{
    for (struct stream *stream = loop->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        each(stream);
    }
}

static void pump_new(struct stream *stream)
{
    /* One with a wish waits for what comes before. */
    if (stream->streaming && !stream->blocked && stream->wish == NULL && stream->cursor < hub_last(stream->loop->hub))
        stream_pump(stream);
}

static void fan_out(struct loop *loop)
{
    int64_t start = clock_steady();
    for_each(loop, pump_new);
    int64_t pause = (clock_steady() - start) * FAN_SHARE;
    loop->next_fan = start + (pause < FAN_MOST_US ? pause : FAN_MOST_US);
}

static void on_fan(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    fan_out(context);
}

static void fan_soon(struct loop *loop)
{
    int64_t wait = loop->next_fan - clock_steady();
    if (wait <= 0) {
        fan_out(loop);
    } else if (!evtimer_pending(&loop->fan, NULL)) {
        const struct timeval span = {0, wait};
        evtimer_add(&loop->fan, &span);
    }
}

/*
 * A client whose session goes on comes back, and is asked anew what it may. So does one that was identified and waits
 * for something else: what was found of it is no longer true.
 */
static void end_streams(struct loop *loop, const struct record *record)
{
    for (struct stream *stream = loop->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (!record_ends(record, stream_reader(stream)))
            continue;
        if (stream->asking) {
            stream->identity->outcome = IDENTITY_UNKNOWN;
        } else if (!stream->streaming) {
            continue;
        } else if (record->ending.over) {
            count_add(&loop->counters, COUNT_EXPIRED, 1);
            stream_dismiss(stream, REQUEST_EXPIRED);
        } else {
            stream_send_away(stream, 1000);
        }
    }
}

static void send_away(struct stream *stream)
{
    if (stream->streaming)
        stream_send_away(stream, 2000);
    else if (!stream->closing)
        stream_end(stream); /* what it asked for is of the log that was */
}

static void begin(struct loop *loop, int64_t position)
{
    if (loop->hub != NULL)
        for_each(loop, send_away);
    hub_free(&loop->hub);
    loop->hub = hub_new(position, (size_t)server_conf(loop->server)->notifier_memory);
    if (loop->hub == NULL)
        abort();
    atomic_store(&loop->reached, position);
}

static void take_records(struct loop *loop, struct records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        struct record *record = records->items[i];
        if (!hub_add(loop->hub, record))
            abort(); /* a stream must not skip; after the restart the log has it */
        /* Before anything is sent: who may no longer see it does not. */
        if (record->ending.user_id != NULL)
            end_streams(loop, record);
    }
    if (records->count > 0)
        atomic_store(&loop->reached, hub_last(loop->hub));
    free(records->items);
    *records = (struct records){0};
}

static void take_newcomers(struct loop *loop, struct newcomer *newcomer)
{
    for (struct newcomer *next; newcomer != NULL; newcomer = next) {
        next = newcomer->next;
        if (!stream_new(loop, newcomer->fd, &newcomer->address, newcomer->status)) {
            log_error("no memory for a client");
            atomic_fetch_sub(&loop->clients, 1);
        }
        free(newcomer);
    }
}

static void take_answers(struct wish *wish)
{
    for (struct wish *next; wish != NULL; wish = next) {
        next = wish->next;
        if (wish->client != NULL)
            stream_granted(wish->client, wish);
        wish_free(wish);
    }
}

static void say_goodbye(struct stream *stream)
{
    size_t clients = server_clients(stream->loop->server);
    if (!stream->streaming)
        stream_end(stream);
    else
        /* A thousand a second come back. */
        stream_send_away(stream, 2000 + (unsigned)clients);
}

static void end(struct loop *loop)
{
    const struct timeval grace = {DRAIN_US / 1000000, 0};
    loop->ending = true;
    for_each(loop, say_goodbye);
    event_base_loopexit(loop->base, loop->streams != NULL ? &grace : NULL);
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct loop *loop = context;
    uint64_t ignored;
    if (read(fd, &ignored, sizeof ignored) < 0 && errno != EAGAIN)
        log_error("clearing the wake-up: %s", strerror(errno));
    pthread_mutex_lock(&loop->lock);
    struct newcomer *newcomers = loop->newcomers;
    struct records arrived = loop->arrived;
    struct wish *answers = loop->answers;
    int64_t begins = loop->begin;
    bool told = loop->told_to_end && !loop->ending;
    loop->newcomers = NULL;
    loop->arrived = (struct records){0};
    loop->answers = NULL;
    loop->begin = -1;
    pthread_cond_signal(&loop->taken);
    pthread_mutex_unlock(&loop->lock);
    if (begins >= 0)
        begin(loop, begins);
    bool more = arrived.count > 0;
    take_records(loop, &arrived);
    take_newcomers(loop, newcomers);
    take_answers(answers);
    if (more)
        fan_soon(loop);
    if (told)
        end(loop);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct loop *loop = context;
    if (loop->hub != NULL)
        hub_limit(loop->hub, (size_t)server_conf(loop->server)->notifier_memory);
    for_each(loop, stream_tick);
}

static void wake(struct loop *loop)
{
    const uint64_t one = 1;
    /* It can only fail when the counter is full, and then the loop is awake. */
    if (write(loop->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_error("waking a loop: %s", strerror(errno));
}

void loop_welcome(struct loop *loop, struct newcomer *newcomer)
{
    atomic_fetch_add(&loop->clients, 1);
    pthread_mutex_lock(&loop->lock);
    newcomer->next = loop->newcomers;
    loop->newcomers = newcomer;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

/* What was brought of the log before is of no more use. */
void loop_begin(struct loop *loop, int64_t position)
{
    pthread_mutex_lock(&loop->lock);
    records_free(&loop->arrived);
    loop->begin = position;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

void loop_bring(struct loop *loop, const struct records *records)
{
    pthread_mutex_lock(&loop->lock);
    while (loop->arrived.count >= INBOX_MOST && !loop->closed)
        pthread_cond_wait(&loop->taken, &loop->lock);
    bool first = loop->arrived.count == 0;
    for (size_t i = 0; i < records->count; i++)
        if (!records_add(&loop->arrived, record_keep(records->items[i])))
            abort(); /* a stream must not skip, and there is nobody to wait for */
    pthread_mutex_unlock(&loop->lock);
    if (first)
        wake(loop);
}

void loop_answer(struct wish *wish)
{
    struct loop *loop = wish->loop;
    pthread_mutex_lock(&loop->lock);
    bool first = loop->answers == NULL;
    wish->next = loop->answers;
    loop->answers = wish;
    pthread_mutex_unlock(&loop->lock);
    if (first)
        wake(loop);
}

void loop_end(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->told_to_end = true;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

void loop_close(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->closed = true;
    pthread_cond_broadcast(&loop->taken);
    pthread_mutex_unlock(&loop->lock);
}

void loop_clear(struct loop *loop)
{
    for_each(loop, stream_end);
}

int loop_new(struct loop **loop, struct server *server, struct err *err)
{
    const struct timeval second = {1, 0};
    struct loop *l = *loop = calloc(1, sizeof *l);
    if (l == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    *l = (struct loop){.server = server, .begin = -1, .arena = arena_new(ARENA_LIMIT), .head = malloc(HEAD_MOST)};
    atomic_init(&l->reached, -1);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->taken, NULL);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->base = event_base_new();
    if (l->base == NULL || l->arena == NULL || l->head == NULL || l->wake_fd < 0) {
        loop_free(loop);
        return fail(err, ERR_UNAVAILABLE, "a loop cannot be made");
    }
    event_assign(&l->wake, l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    event_assign(&l->tick, l->base, -1, EV_PERSIST, on_tick, l);
    evtimer_assign(&l->fan, l->base, on_fan, l);
    if (event_add(&l->wake, NULL) == 0 && event_add(&l->tick, &second) == 0)
        return 0;
    loop_free(loop);
    return fail(err, ERR_UNAVAILABLE, "a loop cannot be made");
}

void loop_free(struct loop **loop)
{
    struct loop *l = *loop;
    if (l == NULL)
        return;
    for (struct newcomer *newcomer = l->newcomers, *next; newcomer != NULL; newcomer = next) {
        next = newcomer->next;
        close(newcomer->fd);
        free(newcomer);
    }
    for (struct wish *wish = l->answers, *next; wish != NULL; wish = next) {
        next = wish->next;
        wish_free(wish);
    }
    records_free(&l->arrived);
    hub_free(&l->hub);
    arena_free(&l->arena);
    free(l->head);
    if (l->base != NULL)
        event_base_free(l->base);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    pthread_cond_destroy(&l->taken);
    pthread_mutex_destroy(&l->lock);
    free(l);
    *loop = NULL;
}

void loop_run(struct loop *loop)
{
    if (event_base_dispatch(loop->base) != 0)
        log_error("the event loop failed");
    loop_close(loop);
}

static void *loop_main(void *context)
{
    loop_run(context);
    return NULL;
}

int loop_start(struct loop *loop, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    loop->runs = pthread_create(&loop->thread, NULL, loop_main, loop) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return loop->runs ? 0 : fail(err, ERR_UNAVAILABLE, "the thread of a loop cannot be started");
}

void loop_join(struct loop *loop)
{
    if (loop->runs)
        pthread_join(loop->thread, NULL);
    loop->runs = false;
}
