/*
 * Access tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256 (RFC 7515, «HS256»).
 *
 * The algorithm is fixed: a token whose header is not, byte for byte, the one that token_make writes is refused, so
 * there is no «none» and no confusion.
 */
#ifndef COURANT_HTTP_TOKEN_H
#define COURANT_HTTP_TOKEN_H

#include "base/crypt.h"
#include "events/actor.h"

enum { TOKEN_MOST = 4096 };

/* now: a moment. NULL when the arena is exhausted. */
const char *token_make(struct arena *arena, const unsigned char secret[SECRET_SIZE], const struct actor *actor,
                       int64_t now);

/* Fills actor with texts in the arena. ERR_DENIED: not one of ours, expired, or not valid yet; err says which. */
int token_read(struct arena *arena, const unsigned char secret[SECRET_SIZE], const char *token, int64_t now,
               struct actor *actor, struct err *err);

#endif
