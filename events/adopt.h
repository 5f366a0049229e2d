/*
 * Bringing rows that were written in direct mode into the log.
 *
 * A row whose version is not in its stream was changed without an event. It becomes one «*.imported» event at that very
 * version, which holds all of the row; the versions that were left out are the changes in direct mode. Each row is a
 * transaction of its own, under the row's lock, so commands go on, and a run that was killed is simply run again.
 */
#ifndef COURANT_EVENTS_ADOPT_H
#define COURANT_EVENTS_ADOPT_H

#include "events/command.h"
#include "events/eventlog.h"

enum { ADOPT_PAGE = 200 };

/* The ids, after a key, of at most ADOPT_PAGE rows that are not in the log; the rows are in the arena. */
int adopt_find(struct sql *db, struct arena *arena, const struct read_model *rows, const char *after,
               struct sql_rows *found, struct err *err);

/*
 * Adopts one row in the name of an actor: 1 done, 0 it was in the log by now, -1 a failure, with ERR_CONFLICT where the
 * row holds what no event can make of it.
 */
int adopt_row(struct sql *db, const struct model *model, const struct read_model *rows, const char *id,
              const struct actor *actor, struct arena *arena, struct err *err);

#endif
