/*
 * The process of a pool that publishes for all workers; see lane_serve in events/publisher.h.
 */
#ifndef COURANT_FCGI_PUBLISH_H
#define COURANT_FCGI_PUBLISH_H

#include "base/conf.h"
#include "events/publisher.h"

/* Until SIGTERM or SIGINT; returns the exit status. */
int publish_run(const struct conf *conf, struct lane *lane);

#endif
