/* Cryptography by libsodium. See crypt.h. */
#include "base/crypt.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct sha256), "struct sha256 holds libsodium's state");
_Static_assert(SHA256_SIZE == crypto_hash_sha256_BYTES, "SHA-256 is 32 bytes");
_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "room for a PHC string");

enum { UNIQUE_AT_ONCE = 1024 };

static _Thread_local struct {
    unsigned char bytes[UNIQUE_AT_ONCE];
    size_t left;
} unique;

static void forget_unique(void)
{
    unique.left = 0;
}

int crypt_init(struct err *err)
{
    static bool prepared;
    if (sodium_init() < 0 || (!prepared && pthread_atfork(NULL, NULL, forget_unique) != 0))
        return fail(err, ERR_INTERNAL, "libsodium: no source of randomness");
    prepared = true;
    return 0;
}

void crypt_wipe_freed(char **argv)
{
    static const char NAME[] = "GLIBC_TUNABLES", WIPE[] = "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165";
    const char *there = getenv(NAME);
    char both[1024];
    if (there != NULL && strstr(there, WIPE) != NULL)
        return;
    int len = snprintf(both, sizeof both, "%s%s%s", there != NULL ? there : "", there != NULL ? ":" : "", WIPE);
    if (len < (int)sizeof both && setenv(NAME, both, 1) == 0 && setenv("LD_BIND_NOW", "1", 1) == 0)
        execv("/proc/self/exe", argv);
    /* What is freed then is not overwritten until it is used again. */
}

static crypto_hash_sha256_state *state_of(struct sha256 *hash)
{
    return (crypto_hash_sha256_state *)(void *)hash->state;
}

void sha256_start(struct sha256 *hash)
{
    crypto_hash_sha256_init(state_of(hash));
}

void sha256_add(struct sha256 *hash, const void *data, size_t len)
{
    crypto_hash_sha256_update(state_of(hash), data, len);
}

void sha256_end(struct sha256 *hash, unsigned char out[SHA256_SIZE])
{
    crypto_hash_sha256_final(state_of(hash), out);
}

void hmac_sha256(const void *data, size_t len, const unsigned char key[SECRET_SIZE], unsigned char out[SHA256_SIZE])
{
    crypto_auth_hmacsha256(out, data, len, key);
}

bool crypt_same(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void crypt_random(void *out, size_t len)
{
    randombytes_buf(out, len);
}

void crypt_unique(void *out, size_t len)
{
    if (len > unique.left) {
        randombytes_buf(unique.bytes, UNIQUE_AT_ONCE);
        unique.left = UNIQUE_AT_ONCE;
    }
    unique.left -= len;
    memcpy(out, unique.bytes + unique.left, len);
}

void crypt_wipe(void *secret, size_t len)
{
    sodium_memzero(secret, len);
}

void crypt_wipe_stack(void)
{
    enum { DEEPEST = 64 * 1024 };
    sodium_stackzero(DEEPEST);
}

static struct gate *gate;

void password_gate(struct gate *of_the_pool)
{
    gate = of_the_pool;
}

static int enter(struct err *err)
{
    enum { PATIENCE_US = 1000000 };
    return gate_enter(gate, PATIENCE_US) ? 0 : fail(err, ERR_UNAVAILABLE, "too many passwords are being checked");
}

int password_hash(const char *password, size_t len, unsigned long long ops, size_t memory, char out[PASSWORD_HASH_SIZE],
                  struct err *err)
{
    if (enter(err) != 0)
        return -1;
    int status = crypto_pwhash_str_alg(out, password, len, ops, memory, crypto_pwhash_ALG_ARGON2ID13);
    gate_leave(gate);
    return status == 0 ? 0 : fail(err, ERR_UNAVAILABLE, "argon2id: no memory for %zu bytes", memory);
}

int password_digest(const unsigned char data[SHA256_SIZE], const unsigned char salt[SHA256_SIZE],
                    unsigned long long ops, size_t memory, unsigned char out[SHA256_SIZE], struct err *err)
{
    _Static_assert(crypto_pwhash_SALTBYTES <= SHA256_SIZE, "a salt is as long as argon2id takes it");
    if (enter(err) != 0)
        return -1;
    int status = crypto_pwhash(out, SHA256_SIZE, (const char *)data, SHA256_SIZE, salt, ops, memory,
                               crypto_pwhash_ALG_ARGON2ID13);
    gate_leave(gate);
    return status == 0 ? 0 : fail(err, ERR_UNAVAILABLE, "argon2id: no memory for %zu bytes", memory);
}

/* What a PHC string of ours says: argon2id, one lane, a salt and a sum of these sizes. */
struct hashed {
    unsigned long long ops;
    size_t memory;
    unsigned char salt[crypto_pwhash_SALTBYTES], sum[SHA256_SIZE];
};

static bool from_base64(unsigned char *out, size_t len, const char *text)
{
    size_t got = 0;
    return sodium_base642bin(out, len, text, strlen(text), NULL, &got, NULL,
                             sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
           got == len;
}

static bool read_hash(const char *text, struct hashed *hashed)
{
    unsigned long kib, ops;
    char salt[23], sum[44], more;
    if (sscanf(text, "$argon2id$v=19$m=%lu,t=%lu,p=1$%22[^$]$%43[^$]%c", &kib, &ops, salt, sum, &more) != 4)
        return false;
    hashed->ops = ops;
    hashed->memory = (size_t)kib * 1024;
    return from_base64(hashed->salt, sizeof hashed->salt, salt) && from_base64(hashed->sum, sizeof hashed->sum, sum);
}

/* Spends what a check by these parameters takes beyond one by those of the hash. */
static int spend_rest(const char *password, size_t len, const struct hashed *hashed, unsigned long long ops,
                      size_t memory, struct err *err)
{
    static const unsigned char SALT[crypto_pwhash_SALTBYTES];
    unsigned char sum[SHA256_SIZE];
    unsigned long long whole = ops * memory, spent = hashed->ops * hashed->memory;
    size_t rest = spent < whole ? (size_t)((whole - spent) / ops) : 0;
    if (rest < crypto_pwhash_MEMLIMIT_MIN)
        return 0;
    int status = crypto_pwhash(sum, sizeof sum, password, len, SALT, ops, rest, crypto_pwhash_ALG_ARGON2ID13);
    crypt_wipe(sum, sizeof sum);
    return status == 0 ? 0 : fail(err, ERR_UNAVAILABLE, "argon2id: no memory for %zu bytes", rest);
}

/* Not by libsodium's own comparison where that can be helped: it takes a want of memory for a wrong password. */
static int compare(const char *password, size_t len, const char *hash, struct hashed *hashed, struct err *err)
{
    unsigned char sum[SHA256_SIZE];
    if (!read_hash(hash, hashed)) {
        *hashed = (struct hashed){0};
        return crypto_pwhash_str_verify(hash, password, len) == 0;
    }
    if (crypto_pwhash(sum, sizeof sum, password, len, hashed->salt, hashed->ops, hashed->memory,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return fail(err, ERR_UNAVAILABLE, "argon2id: no memory for %zu bytes", hashed->memory);
    int right = crypt_same(sum, hashed->sum, sizeof sum);
    crypt_wipe(sum, sizeof sum);
    return right;
}

int password_check(const char *password, size_t len, const char *hash, unsigned long long ops, size_t memory,
                   struct err *err)
{
    struct hashed hashed = {0};
    if (enter(err) != 0)
        return -1;
    int right = hash != NULL ? compare(password, len, hash, &hashed, err) : 0;
    if (right == 0 && spend_rest(password, len, &hashed, ops, memory, err) != 0)
        right = -1;
    gate_leave(gate);
    return right;
}

bool password_outdated(const char *hash, unsigned long long ops, size_t memory)
{
    return crypto_pwhash_str_needs_rehash(hash, ops, memory) != 0;
}

_Static_assert(SEAL_NONCE == crypto_secretbox_NONCEBYTES && SEAL_EXTRA == crypto_secretbox_MACBYTES &&
                   SECRET_SIZE == crypto_secretbox_KEYBYTES,
               "a secretbox is of these sizes");

void secretbox_seal(unsigned char *sealed, const char *text, size_t len, const unsigned char *nonce,
                    const unsigned char key[SECRET_SIZE])
{
    crypto_secretbox_easy(sealed, (const unsigned char *)text, len, nonce, key);
}

bool secretbox_open(char *text, const unsigned char *sealed, size_t sealed_len, const unsigned char *nonce,
                    const unsigned char key[SECRET_SIZE])
{
    return crypto_secretbox_open_easy((unsigned char *)text, sealed, sealed_len, nonce, key) == 0;
}

void hex_encode(const void *data, size_t len, char *out)
{
    sodium_bin2hex(out, 2 * len + 1, data, len);
}

bool hex_decode(const char *text, size_t text_len, unsigned char *out, size_t len)
{
    size_t got = 0;
    const char *end = NULL;
    return text_len == 2 * len && sodium_hex2bin(out, len, text, text_len, NULL, &got, &end) == 0 && got == len &&
           end == text + text_len;
}

void base64url_write(char *out, size_t room, const void *data, size_t len)
{
    sodium_bin2base64(out, room, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

struct str base64url_encode(struct arena *arena, const void *data, size_t len)
{
    size_t size = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = arena_alloc(arena, size);
    if (text == NULL)
        return (struct str){NULL, 0};
    sodium_bin2base64(text, size, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return str_of(text);
}

struct str base64url_decode(struct arena *arena, const char *text, size_t len)
{
    size_t got = 0;
    const char *end = NULL;
    unsigned char *data = arena_alloc(arena, len + 1);
    if (data == NULL ||
        sodium_base642bin(data, len, text, len, NULL, &got, &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        end != text + len)
        return (struct str){NULL, 0};
    data[got] = '\0';
    return (struct str){(const char *)data, got};
}
