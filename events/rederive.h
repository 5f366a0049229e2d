/*
 * Making what is derived in a table's rows anew, where they are: after a migration, for a read model with rows that no
 * event has made (direct mode), which a rebuild would lose. A row whose version is in the log is folded from there.
 */
#ifndef COURANT_EVENTS_REDERIVE_H
#define COURANT_EVENTS_REDERIVE_H

#include "events/model.h"

/*
 * Page by page, each a transaction that locks its rows, so commands go on; a run that was killed is simply run again. *count:
 * the rows.
 */
int rederive(struct sql *db, const struct model *model, const struct read_model *rows, int64_t *count, struct err *err);

#endif
