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

enum { TOKEN_MOST = 4096, KID_TEXT = 17 };

/* kid: 16 hexadecimal digits, the name by which a token says which key it was signed with. */
struct signing_key {
    char kid[KID_TEXT];
    unsigned char secret[SECRET_SIZE];
};

/* Says user_id, session_id and expires. now: a moment. NULL when the arena is exhausted. */
const char *token_make(struct arena *arena, const struct signing_key *key, const struct actor *actor, int64_t now);

/* The key that a token names; false for what is no token of ours. Nothing is verified yet. */
bool token_kid(struct arena *arena, const char *token, char kid[KID_TEXT]);

/*
 * Fills user_id, session_id and expires of actor, with texts in the arena. ERR_DENIED: not one of ours, not signed with
 * this key, expired, or not valid yet; err says which.
 */
int token_read(struct arena *arena, const struct signing_key *key, const char *token, int64_t now, struct actor *actor,
               struct err *err);

#endif
