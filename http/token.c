/* JSON Web Tokens. See token.h. */
#include "http/token.h"

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static const char HEADER[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

enum { SECOND = 1000000, CLOCK_SKEW_S = 5 };

static struct str claims(struct arena *arena, const struct actor *actor, int64_t now)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_puts(&buf, "{\"sub\":");
    buf_json_z(&buf, actor->user_id);
    buf_puts(&buf, ",\"name\":");
    buf_json_z(&buf, actor->username);
    buf_puts(&buf, ",\"sid\":");
    buf_json_z(&buf, actor->session_id);
    buf_puts(&buf, ",\"perm\":");
    buf_json_z(&buf, actor->permissions);
    buf_printf(&buf, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now / SECOND, actor->expires / SECOND);
    return buf_str(&buf);
}

const char *token_make(struct arena *arena, const unsigned char secret[SECRET_SIZE], const struct actor *actor,
                       int64_t now)
{
    unsigned char signature[SHA256_SIZE];
    struct str body = claims(arena, actor, now);
    struct str head64 = base64url_encode(arena, HEADER, sizeof HEADER - 1);
    struct str body64 = base64url_encode(arena, body.data, body.len);
    if (head64.data == NULL || body64.data == NULL)
        return NULL;
    char *input = arena_printf(arena, "%s.%s", head64.data, body64.data);
    if (input == NULL)
        return NULL;
    hmac_sha256(input, strlen(input), secret, signature);
    struct str signature64 = base64url_encode(arena, signature, sizeof signature);
    return signature64.data != NULL ? arena_printf(arena, "%s.%s", input, signature64.data) : NULL;
}

/* The claims of a token whose header and signature are right; {NULL, 0} for any other. */
static struct str verified(struct arena *arena, const unsigned char secret[SECRET_SIZE], const char *token)
{
    const struct str none = {NULL, 0};
    unsigned char expected[SHA256_SIZE];
    const char *first = strchr(token, '.'), *second = first != NULL ? strchr(first + 1, '.') : NULL;
    if (second == NULL || strlen(token) > TOKEN_MOST)
        return none;
    struct str header = base64url_decode(arena, token, (size_t)(first - token));
    struct str signature = base64url_decode(arena, second + 1, strlen(second + 1));
    if (header.data == NULL || !str_is(header, HEADER) || signature.data == NULL || signature.len != SHA256_SIZE)
        return none;
    hmac_sha256(token, (size_t)(second - token), secret, expected);
    if (!crypt_same(expected, signature.data, SHA256_SIZE))
        return none;
    return base64url_decode(arena, first + 1, (size_t)(second - first - 1));
}

static const char *text_claim(struct arena *arena, struct json_object *claims, const char *name)
{
    struct str value = json_string(claims, name);
    return value.data != NULL ? arena_copy(arena, value.data, value.len) : NULL;
}

static int64_t time_claim(struct json_object *claims, const char *name)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(claims, name, &value) || !json_object_is_type(value, json_type_int))
        return INT64_MIN;
    int64_t seconds = json_object_get_int64(value);
    return seconds < 0 || seconds > INT64_MAX / SECOND ? INT64_MIN : seconds * SECOND;
}

int token_read(struct arena *arena, const unsigned char secret[SECRET_SIZE], const char *token, int64_t now,
               struct actor *actor, struct err *err)
{
    struct str body = verified(arena, secret, token);
    struct json_object *claims = body.data != NULL ? json_read(body.data, body.len, err) : NULL;
    if (claims == NULL)
        return fail(err, ERR_DENIED, "The token is not valid.");
    *actor = (struct actor){.user_id = text_claim(arena, claims, "sub"),
                            .username = text_claim(arena, claims, "name"),
                            .session_id = text_claim(arena, claims, "sid"),
                            .permissions = text_claim(arena, claims, "perm"),
                            .expires = time_claim(claims, "exp")};
    int64_t issued = time_claim(claims, "iat");
    json_object_put(claims);
    if (actor->user_id == NULL || !id_valid(actor->user_id, strlen(actor->user_id)) || actor->username == NULL ||
        actor->session_id == NULL || actor->permissions == NULL || actor->expires == INT64_MIN || issued == INT64_MIN)
        return fail(err, ERR_DENIED, "The token is not valid.");
    if (actor->expires <= now)
        return fail(err, ERR_DENIED, "The token has expired.");
    if (issued > now + (int64_t)CLOCK_SKEW_S * SECOND)
        return fail(err, ERR_DENIED, "The token is not valid yet.");
    return 0;
}
