/*
 * The keys that access tokens are signed with, as one process knows them. They stand in the table signing_keys: the
 * newest signs, each verifies what names it.
 */
#ifndef COURANT_HTTP_KEYS_H
#define COURANT_HTTP_KEYS_H

#include "http/token.h"
#include "sql/db.h"

enum { KEYS_AGE_US = 60000000 };

struct keys;

/* Of one thread. NULL when there is no memory. */
struct keys *keys_new(void);
/* Wipes them. */
void keys_free(struct keys **keys);

/* The key that signs, as the database has it now; NULL, and err, where there is none. */
const struct signing_key *keys_newest(struct keys *keys, struct sql *db, struct arena *arena, struct err *err);

/* The key of this kid. NULL where there is none, with ERR_DENIED, or where the database cannot say. */
const struct signing_key *keys_find(struct keys *keys, struct sql *db, struct arena *arena, const char *kid,
                                    struct err *err);

/* Makes the first key where there is none. */
int keys_make_first(struct sql *db, struct err *err);

/* Makes a new key; those older than keep_s seconds go (0: all others). kid: of the new one. */
int keys_rotate(struct sql *db, int64_t keep_s, char kid[KID_TEXT], struct err *err);

#endif
