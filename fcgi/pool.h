/*
 * The pool: forks workers and, for more than one, a process that publishes for them; starts again those that end, and
 * ends or replaces them on signals.
 *
 * SIGTERM, SIGINT: every worker finishes its request; who has not after 20 s is killed. SIGHUP: the configuration is
 * read again and the workers are replaced one by one; one that cannot be read changes nothing.
 */
#ifndef COURANT_FCGI_POOL_H
#define COURANT_FCGI_POOL_H

#include "base/conf.h"
#include "events/known.h"
#include "http/throttle.h"
#include "events/publisher.h"

struct pool_setup {
    struct conf *conf;
    const char *conf_path;
    int listen_fd;
    struct lane *lane;
    struct known *known;
    struct throttle *throttle;
    struct gate *gate; /* of argon2id */
};

/* How many workers may wait to check a password: a quarter, so that the others go on. */
int64_t pool_waiting(int64_t workers);

/* Returns the exit status of the program when the last worker has ended. */
int pool_run(struct pool_setup *setup);

#endif
