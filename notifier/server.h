/*
 * The loop: its socket, its clients, its clock.
 */
#ifndef COURANT_NOTIFIER_SERVER_H
#define COURANT_NOTIFIER_SERVER_H

#include "notifier/stream.h"

struct server {
    const struct conf *conf;
    struct event_base *base;
    struct source *source;
    struct hub *hub;     /* NULL until the tail began */
    struct arena *arena; /* for one request or one turn */
    struct stream *streams;
    size_t count;
    int listen_fd;
    bool ending;
};

/* Serves until SIGTERM or SIGINT. Returns the exit status of the program. */
int server_run(const struct conf *conf, int listen_fd);

/* Closes the connection and forgets the client. */
void server_end(struct stream *stream);

#endif
