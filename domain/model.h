/*
 * The two tables of the domain: every event type with its projection, and every read model. A new event or read model
 * is an entry here.
 */
#ifndef COURANT_DOMAIN_MODEL_H
#define COURANT_DOMAIN_MODEL_H

#include "events/command.h"

extern const struct model MODEL;

/* A table that the projections write, by its primary key. */
struct read_model {
    const char *table, *key;
    /* Reads all columns of the rows whose key is past ?, in its order, at most ?. */
    const char *scan;
};

extern const struct read_model READ_MODELS[];
extern const size_t READ_MODEL_COUNT;

#endif
