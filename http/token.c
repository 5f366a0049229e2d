/* JSON Web Tokens. See token.h. */
#include "http/token.h"

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static const char HEADER[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"";

enum { SECOND = 1000000, CLOCK_SKEW_S = 5 };

static struct str claims(struct arena *arena, const struct actor *actor, int64_t now)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_puts(&buf, "{\"sub\":");
    buf_json_z(&buf, actor->user_id);
    buf_puts(&buf, ",\"sid\":");
    buf_json_z(&buf, actor->session_id);
    buf_printf(&buf, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now / SECOND, actor->expires / SECOND);
    return buf_str(&buf);
}

const char *token_make(struct arena *arena, const struct signing_key *key, const struct actor *actor, int64_t now)
{
    unsigned char signature[SHA256_SIZE];
    struct str body = claims(arena, actor, now), head = str_of(arena_printf(arena, "%s%s\"}", HEADER, key->kid));
    if (body.data == NULL || head.data == NULL)
        return NULL;
    struct str head64 = base64url_encode(arena, head.data, head.len);
    struct str body64 = base64url_encode(arena, body.data, body.len);
    if (head64.data == NULL || body64.data == NULL)
        return NULL;
    char *input = arena_printf(arena, "%s.%s", head64.data, body64.data);
    if (input == NULL)
        return NULL;
    hmac_sha256(input, strlen(input), key->secret, signature);
    struct str signature64 = base64url_encode(arena, signature, sizeof signature);
    return signature64.data != NULL ? arena_printf(arena, "%s.%s", input, signature64.data) : NULL;
}

bool token_kid(struct arena *arena, const char *token, char kid[KID_TEXT])
{
    const size_t before = sizeof HEADER - 1, digits = KID_TEXT - 1;
    const char *first = strchr(token, '.');
    if (first == NULL || strlen(token) > TOKEN_MOST)
        return false;
    struct str head = base64url_decode(arena, token, (size_t)(first - token));
    if (head.data == NULL || head.len != before + digits + 2 || memcmp(head.data, HEADER, before) != 0 ||
        strspn(head.data + before, "0123456789abcdef") != digits || memcmp(head.data + before + digits, "\"}", 2) != 0)
        return false;
    memcpy(kid, head.data + before, digits);
    kid[digits] = '\0';
    return true;
}

/* The claims of a token whose header and signature are right; {NULL, 0} for any other. */
static struct str verified(struct arena *arena, const struct signing_key *key, const char *token)
{
    const struct str none = {NULL, 0};
    unsigned char expected[SHA256_SIZE];
    char kid[KID_TEXT];
    const char *first = strchr(token, '.'), *second = first != NULL ? strchr(first + 1, '.') : NULL;
    if (second == NULL || !token_kid(arena, token, kid) || strcmp(kid, key->kid) != 0)
        return none;
    struct str signature = base64url_decode(arena, second + 1, strlen(second + 1));
    if (signature.data == NULL || signature.len != SHA256_SIZE)
        return none;
    hmac_sha256(token, (size_t)(second - token), key->secret, expected);
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

int token_read(struct arena *arena, const struct signing_key *key, const char *token, int64_t now, struct actor *actor,
               struct err *err)
{
    struct str body = verified(arena, key, token);
    struct json_object *claims = body.data != NULL ? json_read(body.data, body.len, err) : NULL;
    if (claims == NULL)
        return fail(err, ERR_DENIED, "The token is not valid.");
    *actor = (struct actor){.user_id = text_claim(arena, claims, "sub"),
                            .session_id = text_claim(arena, claims, "sid"),
                            .permissions = "",
                            .expires = time_claim(claims, "exp")};
    int64_t issued = time_claim(claims, "iat");
    json_object_put(claims);
    if (actor->user_id == NULL || !id_valid(actor->user_id, strlen(actor->user_id)) || actor->session_id == NULL ||
        actor->expires == INT64_MIN || issued == INT64_MIN)
        return fail(err, ERR_DENIED, "The token is not valid.");
    if (actor->expires <= now)
        return fail(err, ERR_DENIED, "The token has expired.");
    if (issued > now + (int64_t)CLOCK_SKEW_S * SECOND)
        return fail(err, ERR_DENIED, "The token is not valid yet.");
    return 0;
}
