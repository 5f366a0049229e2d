/*
 * Idempotency-Key: the same key and request of the same user give the first answer again, for 24 hours.
 *
 * The record is written in the command's own transaction, so it is there exactly when the command's events are. Of two
 * that race, the second fails on the record's unique key, and is given the answer of the first.
 */
#ifndef COURANT_EVENTS_IDEMPOTENCY_H
#define COURANT_EVENTS_IDEMPOTENCY_H

#include "events/command.h"

enum { IDEMPOTENCY_KEY_MOST = 255 };

/* Whether it is 1 to 255 visible ASCII characters. */
bool idempotency_key_valid(const char *key);

/* 1 and the reply and position of the first time; 0 where there was none; -1, with ERR_INVALID for another request. */
int idempotency_find(struct sql *db, const struct command *command, struct outcome *outcome, struct err *err);

/* Adds the record of a command, whose events and reply are in the outcome, to its batch. */
void idempotency_add(struct sql_batch *batch, const struct command *command, const struct outcome *outcome);

/* Takes away some records that are past their time. Best called now and then, by whoever has just answered. */
int idempotency_purge(struct sql *db, struct err *err);

#endif
