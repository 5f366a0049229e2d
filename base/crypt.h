/*
 * Hashes, secrets and randomness: the one place where libsodium is named.
 */
#ifndef COURANT_BASE_CRYPT_H
#define COURANT_BASE_CRYPT_H

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

enum { SHA256_SIZE = 32, SECRET_SIZE = 32, PASSWORD_HASH_SIZE = 128 };

struct sha256 {
    _Alignas(16) unsigned char state[128];
};

/* Call once before anything else here. */
int crypt_init(struct err *err);

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t len);
void sha256_end(struct sha256 *hash, unsigned char out[SHA256_SIZE]);
void hmac_sha256(const void *data, size_t len, const unsigned char key[SECRET_SIZE], unsigned char out[SHA256_SIZE]);

/* Compares in a time that does not depend on where two runs differ. */
bool crypt_same(const void *a, const void *b, size_t len);
void crypt_random(void *out, size_t len);
void crypt_wipe(void *secret, size_t len);

/* argon2id (RFC 9106). ops and memory (bytes) as crypto_pwhash takes them. out is a NUL-terminated PHC string. */
int password_hash(const char *password, size_t len, unsigned long long ops, size_t memory, char out[PASSWORD_HASH_SIZE],
                  struct err *err);
bool password_matches(const char *password, size_t len, const char *hash);
/* Whether the hash was made with other parameters than these. */
bool password_outdated(const char *hash, unsigned long long ops, size_t memory);

/* Lower-case hexadecimal; out has room for 2 * len + 1. */
void hex_encode(const void *data, size_t len, char *out);
/* Exactly len bytes from 2 * len digits; false on anything else. */
bool hex_decode(const char *text, size_t text_len, unsigned char *out, size_t len);

/* base64url without padding (RFC 4648, section 5). Both return a NUL-terminated run in the arena, or {NULL, 0}. */
struct str base64url_encode(struct arena *arena, const void *data, size_t len);
struct str base64url_decode(struct arena *arena, const char *text, size_t len);

#endif
