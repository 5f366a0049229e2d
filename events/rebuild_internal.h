/* What the files of a rebuild share. */
#ifndef COURANT_EVENTS_REBUILD_INTERNAL_H
#define COURANT_EVENTS_REBUILD_INTERNAL_H

#include "events/ahead.h"
#include "events/rebuild.h"
#include "events/touched.h"

#include <pthread.h>

enum { REBUILD_SHARDS = 2 };

/* The streams of a chunk are divided, each part is folded by a thread with its own connection. */
struct shard {
    struct rebuild *r;
    struct sql *db;
    struct arena *arena; /* for one run */
    size_t most;         /* events of a run: see touched_runs */
    struct event_list list;
    pthread_t thread;
    int status;
    struct err err;
};

struct rebuild {
    const struct conf *conf;
    const struct model *model;
    const struct read_model *models[REBUILD_MODELS + 1];
    struct sql *db;
    struct arena *texts; /* for the events of one chunk, where no thread reads them */
    struct arena *arena; /* for one chunk, or one run of what is folded by hand */
    size_t most;         /* events of such a run: see touched_runs */
    struct shard shards[REBUILD_SHARDS];
    char program[2 * SHA256_SIZE + 1];
    int64_t position;
    int64_t sure; /* behind it no row has an event in it that is not folded yet */
    unsigned char hash[SHA256_SIZE]; /* of the last event that was read ahead; the reading thread's while there is one */
    struct ahead *ahead; /* NULL near the end of the log */
    bool sides;          /* the shadows of the sides are there, and follow */
};

/* Statements in which every %s is that table's name. */
int rebuild_script(struct sql *db, struct err *err, const char *format, const char *name);

/* The same for each side of a read model. */
int rebuild_sides_script(struct sql *db, struct err *err, const char *format, const struct read_model *rows);

/* What there is of a shadow is not to be gone on with. */
int rebuild_forget(struct rebuild *r, const struct read_model *rows, struct err *err);

/* The model has changed places: a run that takes up this one leaves it as it is. */
int rebuild_note_done(struct rebuild *r, const struct read_model *rows, struct err *err);

/* Notes a difference; what says which. */
void rebuild_differs(struct rebuild_result *result, const struct read_model *rows, const char *id, const char *what);

/* Folds a run of the models' events into the shadows through db. */
int rebuild_fold(struct rebuild *r, struct sql *db, const struct event_list *run, struct err *err);

/* Notes a difference between the row of a table and that of its shadow, NULL where there is none. */
void rebuild_compare_rows(struct rebuild_result *result, const struct read_model *rows, const char *id,
                          const void *table, const void *shadow);

#endif
