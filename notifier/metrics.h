/*
 * What the notifier counts, for Prometheus (text format 0.0.4). Each loop has counters of its own, which only its
 * thread raises; whoever asks adds them up. metrics.c holds the one table of names.
 */
#ifndef COURANT_NOTIFIER_METRICS_H
#define COURANT_NOTIFIER_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>

enum counter {
    COUNT_OPENED,     /* streams begun */
    COUNT_DELIVERIES, /* events written to clients, whole */
    COUNT_BYTES,
    COUNT_WRITES,
    COUNT_HEARTBEATS,
    COUNT_SLOW,    /* live streams whose socket was full */
    COUNT_CATCHUP, /* streams that went on to what is not in the ring */
    COUNT_READS_MEMORY,
    COUNT_RESETS,
    COUNT_EXPIRED,
    COUNT_AGED,
    COUNT_REFUSED_ALL,
    COUNT_REFUSED_USER,
    COUNT_REFUSED_ADDRESS,
    COUNT_REFUSED_TEMPORARY,
    COUNT_REFUSED_CREDENTIALS,
    COUNT_REFUSED_TOPIC,
    COUNT_REFUSED_REQUEST,
    COUNTERS
};

struct counters {
    atomic_uint_fast64_t values[COUNTERS];
};

/* By the loop's own thread. */
static inline void count_add(struct counters *counters, enum counter counter, uint64_t more)
{
    atomic_uint_fast64_t *value = &counters->values[counter];
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + more, memory_order_relaxed);
}

struct server;

/* All of it, as text. */
void metrics_text(struct server *server, struct buf *buf);

#endif
