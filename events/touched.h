/*
 * The streams that a run of events touches: for each its state, folded event by event, and what else a caller keeps of
 * it. All in the caller's arena, for one run.
 */
#ifndef COURANT_EVENTS_TOUCHED_H
#define COURANT_EVENTS_TOUCHED_H

#include "events/eventlog.h"
#include "events/model.h"

struct touched {
    const char *stream, *id;
    const struct read_model *rows;
    int64_t first;            /* version of its first event in the run */
    void *state;              /* before the first of them; zero until somebody loads it */
    void *row;                /* the row that touched_load found, or NULL */
    const unsigned char *key; /* of a sealed one, where touched_keys has found it */
    bool done;                /* for the caller */
};

struct touched_list {
    size_t count;
    struct touched *items; /* in the order of their first events */
    struct touched **of;   /* of[i] is that of the i-th event; NULL for one that makes no row */
};

/* Finds the streams of the events; ERR_DAMAGED for one without a read model. */
int touched_find(const struct model *model, struct arena *arena, const struct event_list *events,
                 struct touched_list *list, struct err *err);

/*
 * Goes through events in runs, each with the whole arena for itself: how many streams fit into it is known only when
 * their rows are there. A run that the arena was too small for is tried again with half of its events, so it must leave
 * nothing behind when it fails. most: the most events of a run, at first as many as there may be; kept for the next
 * call. The events themselves are elsewhere.
 */
typedef int (*touched_run)(void *context, const struct event_list *run, struct err *err);
int touched_runs(struct arena *arena, size_t *most, const struct event_list *events, touched_run run, void *context,
                 struct err *err);

/* Reads the rows of those streams that want(item) chooses (NULL: all) from the tables «<prefix><name>». */
int touched_load(struct sql *db, struct arena *arena, const struct model *model, const char *prefix,
                 bool (*want)(const struct touched *item), struct touched_list *list, struct err *err);

/* Reads the keys of those whose read model is sealed. */
int touched_keys(struct sql *db, struct arena *arena, const struct model *model, struct touched_list *list,
                 struct err *err);

/*
 * Writes the states of all of them to the tables «<prefix><name>», in the place of the rows that were loaded. First all
 * of those go, then the new ones come: a unique key that one gives up for another is free by then. sides: theirs too.
 */
int touched_write(struct sql *db, struct arena *arena, const struct model *model, const char *prefix, bool sides,
                  const struct touched_list *list, struct err *err);

/* Deletes what the table «<prefix><table>» has of those of this read model whose rows were loaded. */
int touched_delete(struct sql *db, struct arena *arena, const struct read_model *rows, const char *prefix,
                   const char *table, const struct touched_list *list, struct err *err);

#endif
