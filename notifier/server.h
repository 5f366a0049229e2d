/*
 * The process: its sockets, its loops and its signals, and what the loops share.
 */
#ifndef COURANT_NOTIFIER_SERVER_H
#define COURANT_NOTIFIER_SERVER_H

#include "notifier/canary.h"
#include "notifier/loop.h"
#include "notifier/places.h"
#include "notifier/source.h"
#include "notifier/watch.h"

enum { LOOPS_MOST = 64 };

struct settings {
    struct settings *before; /* those that may still be read */
    struct conf conf;
};

struct server {
    const char *path;                    /* of the configuration; NULL: the standard one */
    _Atomic(struct settings *) settings; /* SIGHUP reads them anew */
    const struct conf *first;            /* those that it began with, for servers and sockets */
    struct withdrawn *withdrawn;
    struct history *history;
    struct source *source;
    struct places *places;
    struct watch *watch;
    struct loop *loops[LOOPS_MOST];
    size_t loop_count;
    int listen_fd, status_fd;
    struct event connection, status_connection;
    struct event again; /* while no more are taken in: when to try */
    int64_t complained; /* clock_steady: when the log was told why */
    char canary_key[CANARY_KEY + 1];
    int64_t started;     /* a moment */
    bool ending, failed; /* failed: ends for a fault */
};

/* Those of now; to be used for one turn. */
const struct conf *server_conf(const struct server *server);

/* The least of what the loops were handed; -1 until the log is followed. */
int64_t server_reached(const struct server *server);
size_t server_clients(const struct server *server);

/* Serves until SIGTERM or SIGINT. path: of the configuration. Returns the exit status of the program. */
int server_run(const struct conf *conf, const char *path, int listen_fd, int status_fd);

#endif
