/* Two chunks take turns: one is read, one is worked on. See ahead.h. */
#include "events/ahead.h"

#include <pthread.h>
#include <stdlib.h>

enum { ARENA_LIMIT = 512 * 1024 * 1024 };

struct chunk {
    struct arena *arena;
    struct event_list list;
    bool full;
};

struct ahead {
    struct sql *db;
    int64_t after, upto;
    size_t size;
    ahead_inspector inspect;
    void *context;
    pthread_t thread;
    bool runs;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct chunk chunks[2];
    int next;                 /* the chunk that ahead_next hands out */
    bool held, ending, ended; /* ended: no more chunks will come */
    int status;
    struct err err;
};

static int read_chunk(struct ahead *ahead, struct chunk *chunk, struct err *err)
{
    struct err before;
    int64_t left = ahead->upto - ahead->after;
    arena_reset(chunk->arena);
    chunk->list = (struct event_list){0};
    if (left <= 0)
        return 0;
    size_t limit = left < (int64_t)ahead->size ? (size_t)left : ahead->size;
    int status = eventlog_read(ahead->db, chunk->arena, ahead->after, limit, &chunk->list, err);
    ahead->after += (int64_t)chunk->list.count;
    /* What comes before an event that cannot be read is looked at all the same, and is named first. */
    if (ahead->inspect != NULL && ahead->inspect(ahead->context, &chunk->list, &before) != 0) {
        *err = before;
        status = -1;
    }
    return status;
}

static void *read_main(void *context)
{
    struct ahead *ahead = context;
    struct err err;
    bool more = true;
    for (int i = 0; more; i = 1 - i) {
        struct chunk *chunk = &ahead->chunks[i];
        pthread_mutex_lock(&ahead->lock);
        while (chunk->full && !ahead->ending)
            pthread_cond_wait(&ahead->changed, &ahead->lock);
        more = !ahead->ending;
        pthread_mutex_unlock(&ahead->lock);
        int status = more ? read_chunk(ahead, chunk, &err) : 0;
        pthread_mutex_lock(&ahead->lock);
        chunk->full = true;
        if (status != 0) {
            ahead->status = status;
            ahead->err = err;
        }
        more = more && status == 0 && chunk->list.count > 0;
        ahead->ended = !more;
        pthread_cond_signal(&ahead->changed);
        pthread_mutex_unlock(&ahead->lock);
    }
    sql_thread_end();
    return NULL;
}

int ahead_open(struct ahead **ahead, const struct conf *conf, int64_t after, int64_t upto, size_t chunk,
               ahead_inspector inspect, void *context, struct err *err)
{
    struct ahead *a = *ahead = calloc(1, sizeof *a);
    if (a == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory");
    a->after = after;
    a->upto = upto;
    a->size = chunk;
    a->inspect = inspect;
    a->context = context;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    for (int i = 0; i < 2; i++)
        a->chunks[i].arena = arena_new(ARENA_LIMIT);
    int status = a->chunks[0].arena != NULL && a->chunks[1].arena != NULL ? sql_open(&a->db, conf, err)
                                                                          : fail(err, ERR_UNAVAILABLE, "no memory");
    if (status == 0 && pthread_create(&a->thread, NULL, read_main, a) != 0)
        status = fail(err, ERR_UNAVAILABLE, "no thread to read the log");
    a->runs = status == 0;
    if (status != 0)
        ahead_close(ahead);
    return status;
}

void ahead_close(struct ahead **ahead)
{
    struct ahead *a = *ahead;
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->runs)
        pthread_join(a->thread, NULL);
    sql_close(&a->db);
    for (int i = 0; i < 2; i++)
        arena_free(&a->chunks[i].arena);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
    *ahead = NULL;
}

int ahead_next(struct ahead *ahead, struct event_list *list, struct err *err)
{
    pthread_mutex_lock(&ahead->lock);
    if (ahead->held) {
        ahead->chunks[ahead->next].full = false;
        ahead->next = 1 - ahead->next;
        pthread_cond_signal(&ahead->changed);
    }
    ahead->held = true;
    while (!ahead->chunks[ahead->next].full && !ahead->ended)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    *list = ahead->chunks[ahead->next].full ? ahead->chunks[ahead->next].list : (struct event_list){0};
    int status = ahead->status != 0 && list->count == 0 ? -1 : 0;
    if (status != 0)
        *err = ahead->err;
    pthread_mutex_unlock(&ahead->lock);
    return status;
}
