/*
 * Hashes, secrets and randomness: the one place where libsodium is named.
 */
#ifndef COURANT_BASE_CRYPT_H
#define COURANT_BASE_CRYPT_H

#include "base/arena.h"
#include "base/gate.h"
#include "base/err.h"

#include <stdint.h>

enum { SHA256_SIZE = 32, SECRET_SIZE = 32, PASSWORD_HASH_SIZE = 128 };

struct sha256 {
    _Alignas(16) unsigned char state[128];
};

/* Call once before anything else here. */
int crypt_init(struct err *err);
/*
 * Has the C library overwrite all that is freed, for libraries free what they have read without a thought: by settings
 * that glibc reads when a program begins, so the program is begun anew with them (argv: its arguments). Call it first.
 * The loader then looks all functions up at once: one at a time, it puts the registers of that moment on the stack.
 */
void crypt_wipe_freed(char **argv);

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t len);
void sha256_end(struct sha256 *hash, unsigned char out[SHA256_SIZE]);
void hmac_sha256(const void *data, size_t len, const unsigned char key[SECRET_SIZE], unsigned char out[SHA256_SIZE]);

/* Compares in a time that does not depend on where two runs differ. */
bool crypt_same(const void *a, const void *b, size_t len);
void crypt_random(void *out, size_t len);
/*
 * Random bytes that are no secret, such as those of ids, at most 1024: many are fetched at a time, so that most calls
 * need none of the kernel. A child process does not go on with what its parent had left; crypt_init comes first.
 */
void crypt_unique(void *out, size_t len);
void crypt_wipe(void *secret, size_t len);
/*
 * Wipes what the functions that have returned left on the stack, below the caller's frame.
 */
void crypt_wipe_stack(void);

/* argon2id (RFC 9106). ops and memory (bytes) as crypto_pwhash takes them. out is a NUL-terminated PHC string. */
int password_hash(const char *password, size_t len, unsigned long long ops, size_t memory, char out[PASSWORD_HASH_SIZE],
                  struct err *err);
/*
 * argon2id of these 32 bytes, the same for the same salt: what may be kept to know a password by, and gives it away no
 * sooner than its hash does.
 */
int password_digest(const unsigned char data[SHA256_SIZE], const unsigned char salt[SHA256_SIZE],
                    unsigned long long ops, size_t memory, unsigned char out[SHA256_SIZE], struct err *err);
/*
 * 1 it matches, 0 it does not, -1 it could not be tried: ERR_UNAVAILABLE. Where it does not, as much work is done as
 * these parameters take, whichever the hash was made with and also where there is none (NULL): the time does not tell.
 */
int password_check(const char *password, size_t len, const char *hash, unsigned long long ops, size_t memory,
                   struct err *err);
/*
 * What they wait at, so that they never take more memory than there is; ERR_UNAVAILABLE after a second, and at once
 * where too many wait already. NULL: nothing.
 */
void password_gate(struct gate *gate);
/* Whether the hash was made with other parameters than these. */
bool password_outdated(const char *hash, unsigned long long ops, size_t memory);

/* XSalsa20-Poly1305. nonce: SEAL_NONCE bytes, never twice with one key; sealed has SEAL_EXTRA bytes more. */
enum { SEAL_NONCE = 24, SEAL_EXTRA = 16 };
void secretbox_seal(unsigned char *sealed, const char *text, size_t len, const unsigned char *nonce,
                    const unsigned char key[SECRET_SIZE]);
bool secretbox_open(char *text, const unsigned char *sealed, size_t sealed_len, const unsigned char *nonce,
                    const unsigned char key[SECRET_SIZE]);

/* Lower-case hexadecimal; out has room for 2 * len + 1. */
void hex_encode(const void *data, size_t len, char *out);
/* Exactly len bytes from 2 * len digits; false on anything else. */
bool hex_decode(const char *text, size_t text_len, unsigned char *out, size_t len);

/* base64url without padding (RFC 4648, section 5), to where there is room for 4 characters of 3 bytes and a NUL. */
void base64url_write(char *out, size_t room, const void *data, size_t len);
/* The same. Both return a NUL-terminated run in the arena, or {NULL, 0}. */
struct str base64url_encode(struct arena *arena, const void *data, size_t len);
struct str base64url_decode(struct arena *arena, const char *text, size_t len);

#endif
