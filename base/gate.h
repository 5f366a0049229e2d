/*
 * A bound on how many processes of a pool do something at once (argon2id, of which each takes its memory). A place is
 * named after the process that has it: one that was killed in there does not keep it.
 */
#ifndef COURANT_BASE_GATE_H
#define COURANT_BASE_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct gate;

enum { GATE_MOST = 64 };

/* In memory that the children of this process will share. NULL when there is none. places: up to GATE_MOST. */
struct gate *gate_new(int64_t places);
void gate_free(struct gate **gate);

/* Waits for a place, this many microseconds at most; false where there was none. gate may be NULL: there always is. */
bool gate_enter(struct gate *gate, int64_t patience_us);
void gate_leave(struct gate *gate);

#endif
