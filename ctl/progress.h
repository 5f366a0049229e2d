/*
 * How far a long piece of work is: a bar on standard error where that is a terminal, nothing where it is not. The rate
 * is printed at the end by whoever wants it (progress_rate).
 */
#ifndef COURANT_CTL_PROGRESS_H
#define COURANT_CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;
    int64_t from, to, at;     /* positions; work begins behind from */
    int64_t began, next_draw; /* clock_steady */
    bool drawn;
};

void progress_start(struct progress *progress, const char *what, int64_t from, int64_t to);
/* At most ten times a second it draws. */
void progress_at(struct progress *progress, int64_t at);
/* Takes the bar away. */
void progress_end(struct progress *progress);
/* Events per second since the start. */
double progress_rate(const struct progress *progress);

#endif
