/*
 * A log from outside: lines of JSON as export_line makes them, appended to this log with positions, ids and hashes as
 * they are, and folded into the read models.
 *
 * All of it is one transaction: a line that does not follow from the one before, or cannot be folded, leaves the
 * database as it was. Commands wait meanwhile.
 */
#ifndef COURANT_EVENTS_IMPORT_H
#define COURANT_EVENTS_IMPORT_H

#include "events/eventlog.h"
#include "events/model.h"

/* An event as a line, with its hash and without a line end; {NULL, 0} when the arena is exhausted. */
struct str export_line(struct arena *arena, const struct envelope *event);

struct import;

/* Locks the log's head. */
int import_begin(struct import **import, struct sql *db, const struct model *model, struct err *err);

/* The next line. On -1 err names the line, and nothing can be done but import_close. */
int import_line(struct import *import, const char *text, size_t len, struct err *err);

/* Commits; head: where the log ends now. */
int import_commit(struct import *import, struct log_head *head, struct err *err);

/* Rolls back what was not committed. */
void import_close(struct import **import);

#endif
