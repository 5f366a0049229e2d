/*
 * One loop: a thread, its clients, the ring that they share, its clock. There is one for each core.
 *
 * What other threads have for it goes through its inbox: clients, records, answered wishes. Events that arrive while a
 * turn runs go out together: to each client in one write. A turn that was dear is followed by one a while later, so
 * that under load more of them go together; after a pause an event leaves at once.
 */
#ifndef COURANT_NOTIFIER_LOOP_H
#define COURANT_NOTIFIER_LOOP_H

#include "notifier/hub.h"
#include "notifier/metrics.h"
#include "notifier/stream.h"

#include <pthread.h>

/* A client that another thread has accepted. */
struct newcomer {
    struct newcomer *next;
    int fd;
    struct address address;
    bool status;
};

struct loop {
    struct server *server;
    struct event_base *base;
    struct event wake, tick, fan;
    int wake_fd;
    struct arena *arena; /* for one request or one turn */
    char *head;          /* room for HEAD_MOST bytes, for the one that is being read */
    struct hub *hub;     /* NULL until the log is followed */
    struct stream *streams;
    int64_t next_fan; /* clock_steady: not before */
    bool ending;
    pthread_t thread; /* of all loops but the first */
    bool runs;

    struct counters counters;
    atomic_size_t clients;       /* connections, also those on their way to it */
    atomic_int_fast64_t reached; /* the last position that it was handed; -1: none yet */

    pthread_mutex_t lock; /* of the inbox, that is all below */
    pthread_cond_t taken;
    struct newcomer *newcomers;
    struct records arrived;
    struct wish *answers;
    int64_t begin; /* the ring is to begin anew behind this; -1: it is not */
    bool closed, told_to_end;
};

int loop_new(struct loop **loop, struct server *server, struct err *err);
void loop_free(struct loop **loop);

/* In a thread of its own, or in the caller's. Ends when it was told to and its clients are gone, or time is up. */
int loop_start(struct loop *loop, struct err *err);
void loop_run(struct loop *loop);
void loop_join(struct loop *loop);

/* From any thread. */
void loop_welcome(struct loop *loop, struct newcomer *newcomer);
void loop_begin(struct loop *loop, int64_t position);
/* Waits while the loop is far behind, so that its inbox stays bounded. */
void loop_bring(struct loop *loop, const struct records *records);
void loop_answer(struct wish *wish);
void loop_end(struct loop *loop);
/* Nobody brings it anything any more. */
void loop_close(struct loop *loop);
/* Ends its clients; when its thread has ended, and before those whom they ask do. */
void loop_clear(struct loop *loop);

#endif
