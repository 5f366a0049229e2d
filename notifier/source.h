/*
 * Where new events come from: one thread that follows the tail, renders each event once and hands it to all loops.
 */
#ifndef COURANT_NOTIFIER_SOURCE_H
#define COURANT_NOTIFIER_SOURCE_H

#include "base/conf.h"
#include "notifier/withdrawn.h"

/* Called in the source's thread. */
struct sink {
    void *context;
    /* What comes next begins behind this position. A second time: the log was replaced by another one. */
    void (*begin)(void *context, int64_t position);
    /* Whether events come over the bus from here on: it is there, and holds what the log holds. */
    void (*live)(void *context, bool live);
    /* Records of the next positions, which stay the caller's. It may wait until the loops have taken others. */
    void (*bring)(void *context, const struct records *records);
};

struct source;

/* Starts the thread. It tries again for ever where a server cannot be reached. */
int source_start(struct source **source, const struct conf *conf, struct withdrawn *withdrawn, const struct sink *sink,
                 struct err *err);
/* First; then whatever bring waits for, then source_stop. */
void source_end(struct source *source);
void source_stop(struct source **source);

/* Whether events come over the bus; otherwise the log is polled. */
bool source_live(const struct source *source);

#endif
