/*
 * A bound on how many processes of a pool do something at once (argon2id, of which each takes its memory), and on how
 * many of them wait for it, for who waits serves nobody. A place is named after the process that has it: one that was
 * killed in there does not keep it.
 */
#ifndef COURANT_BASE_GATE_H
#define COURANT_BASE_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct gate;

enum { GATE_MOST = 64, GATE_WAITING_MOST = 256 };

/* In memory that the children of this process will share. NULL when there is none. As gate_set takes them. */
struct gate *gate_new(int64_t places, int64_t waiting);
void gate_free(struct gate **gate);

/* Other bounds, from the next one that enters on. places: up to GATE_MOST, waiting: up to GATE_WAITING_MOST. */
void gate_set(struct gate *gate, int64_t places, int64_t waiting);

/*
 * Waits for a place, this many microseconds at most; false where there was none, or as many wait already as may. gate
 * may be NULL: there always is one.
 */
bool gate_enter(struct gate *gate, int64_t patience_us);
void gate_leave(struct gate *gate);

#endif
