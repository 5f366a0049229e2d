/*
 * One worker: takes requests from the socket, one after the other, until SIGTERM.
 *
 * Signals are blocked but while it waits for a request: libfcgi takes an interrupted read for the end of the body.
 * Events are published when the answer is finished, so the bus adds nothing to its time.
 */
#ifndef COURANT_FCGI_WORKER_H
#define COURANT_FCGI_WORKER_H

#include "base/conf.h"
#include "events/known.h"
#include "http/throttle.h"
#include "events/publisher.h"

/* All signals are blocked when it is called. Returns the exit status of the process. */
int worker_run(const struct conf *conf, int listen_fd, struct lane *lane, struct known *known,
               struct throttle *throttle);

#endif
