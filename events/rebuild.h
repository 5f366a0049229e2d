/*
 * Making read models again from the log, on a live system.
 *
 * A model is folded into a shadow table, «zrebuild_<name>», chunk by chunk, each divided by streams among some threads.
 * How far it goes is noted behind what was written, and an event that a row has in it already is not folded again, so
 * that a run that was killed is taken up where it was. Near the end of the log, shadow and table are compared row by
 * row at one moment. Then the table is locked for the moment that the last events take, and the two
 * change places (RENAME). Nobody waits for longer than that moment.
 *
 * Crash: before the change the table is as it was; after it the new one is there, and what is left over is taken away
 * by the next run. The RENAME waits, behind a third table of the old one's future name, until all is right: should the
 * process die before, it fails.
 */
#ifndef COURANT_EVENTS_REBUILD_H
#define COURANT_EVENTS_REBUILD_H

#include "events/eventlog.h"
#include "events/model.h"

struct rebuild;

enum { REBUILD_NAMED = 5, REBUILD_MODELS = 16 };

struct rebuild_result {
    int64_t rows, differences;
    char named[REBUILD_NAMED][256]; /* the first of the differences */
    int64_t pause_us;               /* how long the table was locked */
};

/*
 * models: NULL-terminated, of this model, at most REBUILD_MODELS. Takes up a run of the same program that was broken off;
 * with takes_up, where that run has put some of these in place within the last hour, only the rest is made.
 */
int rebuild_open(struct rebuild **rebuild, const struct conf *conf, const struct model *model,
                 const struct read_model *const *models, bool takes_up, struct err *err);
void rebuild_close(struct rebuild **rebuild);

/* The models that this run makes, NULL-terminated. */
const struct read_model *const *rebuild_models(const struct rebuild *rebuild);

/* Where the shadows are; more than 0 at the start for a run that is taken up. */
int64_t rebuild_position(const struct rebuild *rebuild);

/* Folds one more chunk: 1 there is more, 0 the log's end is near, -1 a failure. */
int rebuild_step(struct rebuild *rebuild, struct err *err);

/* Compares the shadow of one of the models with its table, as of one moment. */
int rebuild_compare(struct rebuild *rebuild, const struct read_model *rows, struct rebuild_result *result,
                    struct err *err);

/* Brings the last events into the shadow, compares what they touched, and puts it in the table's place. */
int rebuild_switch(struct rebuild *rebuild, const struct read_model *rows, struct rebuild_result *result,
                   struct err *err);

/* All is done: takes away what is left, such as shadows that were only for comparing. */
int rebuild_finish(struct rebuild *rebuild, struct err *err);

#endif
