/*
 * The log position that the processes of a pool know, so that a query need not ask for it.
 *
 * Whoever reads a table after it has learned a position finds at least all up to there: what was committed before the
 * read began is in it. So a position that a worker of the pool has just committed serves the queries of all. What
 * others commit (courantctl, another machine's pool) is learned by asking the database, when what is known is older
 * than KNOWN_US.
 */
#ifndef COURANT_EVENTS_KNOWN_H
#define COURANT_EVENTS_KNOWN_H

#include "events/eventlog.h"

struct known;

enum { KNOWN_US = 50000 };

/* In memory that the children of this process will share. NULL when there is none. */
struct known *known_new(void);
void known_free(struct known **known);

/* A position that was just committed. known may be NULL. */
void known_raise(struct known *known, int64_t position);

/* What is known without asking; -1: nothing yet. */
int64_t known_now(const struct known *known);

/*
 * A position of which all is visible to a read that begins after this: at most KNOWN_US behind the log, and never
 * behind what the pool has committed. Asks the database where known is NULL or too old.
 */
int known_position(struct known *known, struct sql *db, struct arena *arena, int64_t *position, struct err *err);

/* Asks the database in any case, so that all of the pool knows; known may be NULL. */
int known_ask(struct known *known, struct sql *db, struct arena *arena, struct log_head *head, struct err *err);

/* A number that is another one whenever a user's name may be, or a table was rebuilt: those who remember forget then.
 */
int64_t known_names(const struct known *known);
/* Some name was just changed. known may be NULL. */
void known_names_changed(struct known *known);

#endif
