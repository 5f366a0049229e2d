/*
 * Idempotency-Key: the same key and request of the same user give the first answer again, for 24 hours. Keys of nobody
 * with an account belong to the address that they come from.
 *
 * The record is written in the command's own transaction, so it is there exactly when the command's events are. Of two
 * that race, the second fails on the record's unique key, and is given the answer of the first.
 *
 * An answer may show a user's name or address: the record names that user (about), and goes when he is erased. Where he
 * was erased since the answer was made, the batch fails with the key «erased», so that no record comes after the
 * erasure.
 */
#ifndef COURANT_EVENTS_IDEMPOTENCY_H
#define COURANT_EVENTS_IDEMPOTENCY_H

#include "events/command.h"

enum { IDEMPOTENCY_KEY_MOST = 255 };

/* Whether it is 1 to 255 visible ASCII characters. */
bool idempotency_key_valid(const char *key);

/*
 * Before idempotency_add: makes of a payload's passwords what they are known by, with argon2id, unless it is done. So
 * two digests are one only where the passwords are the same, and none of them gives a password away.
 */
int idempotency_prepare(struct command *command, struct err *err);

/*
 * 1 and the reply and position of the first time; 0 where there was none; -1, with ERR_INVALID for another request.
 * Costs an argon2id only where there is a record to compare with.
 */
int idempotency_find(struct sql *db, struct command *command, struct outcome *outcome, struct err *err);

/*
 * Adds the record of a command, whose reply is in the outcome, to its batch. logged: its events are appended with it;
 * else the reply is as of the outcome's position.
 */
void idempotency_add(struct sql_batch *batch, const struct command *command, const struct outcome *outcome,
                     bool logged);

/* Adds to a batch that what is remembered of a user goes: the answers that were his, and those that show him. */
void idempotency_forget(struct sql_batch *batch, const char *user_id);

/* Takes away some records that are past their time. Best called now and then, by whoever has just answered. */
int idempotency_purge(struct sql *db, struct err *err);

#endif
