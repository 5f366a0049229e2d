/*
 * The canary: an event in the log, `canary.sent` on a stream of its own, that says nothing, and a client of our own
 * that waits for it at the address where browsers come in. It flies from a perch, which has connections of its own.
 */
#ifndef COURANT_NOTIFIER_CANARY_H
#define COURANT_NOTIFIER_CANARY_H

#include "base/conf.h"

#include <stdint.h>

struct perch;

/* In hexadecimal, of the process: who knows it comes in beside the clients, and takes no place from them. */
enum { CANARY_KEY = 32 };
#define CANARY_HEADER "courant-canary"

/* key: of CANARY_KEY characters; it must last. NULL when there is no memory. Use it, and free it, in one thread. */
struct perch *perch_new(const struct conf *conf, const char *key);
void perch_free(struct perch **perch);

/* Whether the database is as new as the program. */
int perch_migrated(struct perch *perch, bool *migrated, struct err *err);

/* How far the log is. */
int perch_look(struct perch *perch, int64_t *head, struct err *err);

/*
 * Opens a stream, appends the event and publishes it, and waits at most timeout_us until the stream has brought it.
 * *position: of the event. On an error it has not come, or could not be sent.
 */
int perch_fly(struct perch *perch, int64_t timeout_us, int64_t *position, struct err *err);

#endif
