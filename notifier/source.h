/*
 * Where the loop gets records from, without ever waiting: one thread that follows the tail, one that reads old events
 * from the log. Each has connections of its own, and wakes the loop through a descriptor.
 */
#ifndef COURANT_NOTIFIER_SOURCE_H
#define COURANT_NOTIFIER_SOURCE_H

#include "base/conf.h"
#include "notifier/hub.h"

/* Records of successive positions, each with a reference that goes to whoever takes the list. */
struct records {
    struct record **items;
    size_t count;
};

void records_free(struct records *records);

/* Who a token stands for, when it was asked. */
struct identity {
    enum { IDENTITY_FOUND, IDENTITY_REFUSED, IDENTITY_UNKNOWN } outcome; /* unknown: nobody could say */
    struct actor actor;
    char detail[96]; /* of a refusal */
    char *texts;     /* of the actor, in one block that goes to whoever takes it */
};

/* A wish for what comes after a position, or for whom a token stands; one client's, who may have gone by then. */
struct wish {
    void *client; /* the loop's business; NULL when it has gone */
    char *token;  /* NULL: the wish is for events */
    struct identity identity;
    int64_t after, upto;
    struct records found;
    bool failed;
    struct wish *next;
};

struct source;

/* token: NULL for events. NULL when there is no memory. */
struct wish *wish_new(void *client, const char *token);
void wish_free(struct wish *wish);

/* Starts both threads. They try again for ever where a server cannot be reached. */
int source_start(struct source **source, const struct conf *conf, struct err *err);
void source_stop(struct source **source);

/* Readable when source_take or source_answered has something. */
int source_descriptor(const struct source *source);
/* Call it before taking, when the descriptor was readable. */
void source_clear(struct source *source);

/* The position that the tail began at; false until it could begin. */
bool source_began(struct source *source, int64_t *position);

/* What the tail has brought since the last call, in order. */
void source_take(struct source *source, struct records *records);

/* Hands a wish over; it comes back by source_answered. Never waits. */
void source_ask(struct source *source, struct wish *wish);
struct wish *source_answered(struct source *source);

#endif
