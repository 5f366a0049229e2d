/*
 * Personal data in events: sealed with a key per subject (libsodium's secretbox), which stands in the table seal_keys,
 * outside the log. Erasing somebody destroys the key; what was sealed with it is then unreadable wherever a copy is,
 * and every digest and hash stays right.
 *
 * A read model that holds such data (struct read_model, sealed) folds the sealed text as it is, and derives what it
 * says with the key, or nothing without one.
 */
#ifndef COURANT_EVENTS_SEAL_H
#define COURANT_EVENTS_SEAL_H

#include "base/crypt.h"
#include "sql/db.h"

/* Seals a text; pure. once: what is sealed no second time with this key, such as the event's id. {NULL, 0}: no memory.
 */
struct str seal_text(struct arena *arena, const unsigned char key[SECRET_SIZE], const char *once, struct str text);

/* What was sealed; {NULL, 0} where it was with another key, or is damaged. */
struct str seal_open(struct arena *arena, const unsigned char key[SECRET_SIZE], struct str sealed);

/* The keys of some subjects, in the arena: keys[i] is that of ids[i], or NULL where there is none (any more). */
int seal_keys(struct sql *db, struct arena *arena, const char *const *ids, size_t count, const unsigned char **keys,
              struct err *err);

/* Statements of a command's transaction: the key comes, and goes for ever. */
void seal_key_add(struct sql_batch *batch, const char *id, const unsigned char key[SECRET_SIZE]);
void seal_key_destroy(struct sql_batch *batch, const char *id);

#endif
