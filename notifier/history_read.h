/*
 * What one helper of history.c reads, with connections of its own that are made when they are needed.
 */
#ifndef COURANT_NOTIFIER_HISTORY_READ_H
#define COURANT_NOTIFIER_HISTORY_READ_H

#include "notifier/history.h"

/* Positions that are read together. `after + 1` is in it; nothing beyond upto is. */
struct range {
    int64_t first, last, after, upto;
};

/* The one that a wish for what comes after a position is granted with: all wishes for it read the same. */
struct range range_around(int64_t after, int64_t upto);

struct reader;

/* NULL when there is no memory. Use it from one thread. */
struct reader *reader_new(const struct conf *conf);
void reader_free(struct reader **reader);

/*
 * *by_bus: whether the bus may be read; then, whether it was.
 * A chunk with after + 1 and what follows it in the range, as far as its bytes allow; NULL, and it is logged, where
 * that cannot be read. */
struct chunk *reader_read(struct reader *reader, const struct range *range, bool *by_bus);

/* Answers a wish of another kind. */
void reader_answer(struct reader *reader, struct wish *wish);

#endif
