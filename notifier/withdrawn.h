/*
 * Which streams are withdrawn: things that were for everybody and are no longer. What a record says of one is withheld
 * from everybody, at the moment that it would be delivered, wherever it comes from: live, memory, the bus or the log.
 *
 * One thread (the source's) writes, any may ask. The set follows the log a moment ahead of the loops: a thing is
 * withheld before the event that withdraws it goes out, never after.
 */
#ifndef COURANT_NOTIFIER_WITHDRAWN_H
#define COURANT_NOTIFIER_WITHDRAWN_H

#include "notifier/record.h"
#include "sql/db.h"

struct withdrawn;

/* NULL when there is no memory. */
struct withdrawn *withdrawn_new(void);
void withdrawn_free(struct withdrawn **withdrawn);

/* Reads the whole set anew, as the rows of the read models have it. On an error it stays as it was. */
int withdrawn_load(struct withdrawn *withdrawn, struct sql *db, struct arena *arena, const struct model *model,
                   struct err *err);

/* Takes an event in. False when there is no memory; then nothing changed. */
bool withdrawn_note(struct withdrawn *withdrawn, const struct record *record);

/* Whether what it says is not for everybody now. Asked often: the record remembers the answer until the set changes. */
bool withdrawn_hides(struct withdrawn *withdrawn, struct record *record);

size_t withdrawn_count(struct withdrawn *withdrawn);

#endif
