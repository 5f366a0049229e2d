/* http: targets, heads, cookies, routes, tokens. */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "http/auth.h"
#include "http/head.h"
#include "http/router.h"
#include "http/token.h"

#include <string.h>

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(1000000);
    return arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct http_head head;

static int parse_head(const char *text)
{
    struct err err;
    char *copy = arena_copy_z(arena, text);
    size_t len = http_head_length(copy, strlen(copy));
    return len == 0 ? 1 : http_head_parse(&head, copy, len, &err);
}

static struct http_request request_for(const char *target)
{
    head.count = 0;
    return (struct http_request){
        .method = "GET", .target = target, .header = http_head_field, .header_source = &head, .arena = arena};
}

static void targets_are_decoded_once(void **state)
{
    (void)state;
    struct err err;
    struct http_request request = request_for("/x/v1/a//c%20d%252F%2fe?q=1%20+2&limit=&q=9");
    assert_int_equal(http_request_parse(&request, &err), 0);
    assert_int_equal(request.segment_count, 5);
    assert_true(str_is(request.segments[3], ""));
    assert_true(str_is(request.segments[4], "c d%2F/e"));
    assert_string_equal(http_query(&request, "q"), "1  2");
    assert_string_equal(http_query(&request, "limit"), "");
    assert_null(http_query(&request, "b"));
    assert_int_equal(strlen(request.trace_id), TRACE_LEN);
}

static void bad_targets_are_refused(void **state)
{
    (void)state;
    struct err err;
    const char *const targets[] = {"", "x", "*", "http://h/x", "/%", "/%4", "/%zz", "/%00", "/%ff", "/a/%c0%af"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct http_request request = request_for(targets[i]);
        if (http_request_parse(&request, &err) == 0)
            fail_on(targets[i]);
    }
    struct http_request deep = request_for("/1/2/3/4/5/6/7/8/9/10/11/12/13");
    assert_int_equal(http_request_parse(&deep, &err), -1);
    assert_int_equal(err.kind, ERR_ABSENT);
}

static void heads_are_cut_up(void **state)
{
    (void)state;
    assert_int_equal(parse_head("GET /events?a=b HTTP/1.1\r\nHost: x:1\r\nLast-Event-ID:  12 \r\nX:\r\n\r\n"), 0);
    assert_string_equal(head.method, "GET");
    assert_string_equal(head.target, "/events?a=b");
    assert_string_equal(http_head_field(&head, "last-event-id"), "12");
    assert_string_equal(http_head_field(&head, "x"), "");
    assert_null(http_head_field(&head, "y"));
    assert_int_equal(http_head_length("GET / HTTP/1.1\r\nHost: x\r\n", 25), 0);
    assert_int_equal(http_head_length("\r\n\r\n", 4), 4);
    assert_int_equal(http_head_length("GET / HTTP/1.1\n\r\nX", 18), 17);
}

static void other_heads_are_refused(void **state)
{
    (void)state;
    const char *const heads[] = {"\r\n\r\n",
                                 "GET\r\n\r\n",
                                 "GET /\r\n\r\n",
                                 "GET / HTTP/2.0\r\n\r\n",
                                 "GET / / HTTP/1.1\r\n\r\n",
                                 "G@T / HTTP/1.1\r\n\r\n",
                                 "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                                 "GET / HTTP/1.1\r\n folded: x\r\n\r\n",
                                 "GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
                                 "GET /\x01 HTTP/1.1\r\n\r\n"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        if (parse_head(heads[i]) != -1)
            fail_on(heads[i]);
}

static void cookies_and_traces_are_found(void **state)
{
    (void)state;
    struct err err;
    struct http_request request = request_for("/");
    assert_int_equal(parse_head("GET / HTTP/1.1\r\nCookie: a=1; courant_access=x.y.z;b=2\r\n"
                                "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"),
                     0);
    assert_int_equal(http_request_parse(&request, &err), 0);
    assert_string_equal(http_cookie(&request, "courant_access"), "x.y.z");
    assert_string_equal(http_cookie(&request, "b"), "2");
    assert_null(http_cookie(&request, "courant"));
    assert_string_equal(request.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    parse_head("GET / HTTP/1.1\r\ntraceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n\r\n");
    assert_int_equal(http_request_parse(&request, &err), 0);
    assert_string_not_equal(request.trace_id, "00000000000000000000000000000000");
}

static bool same_origin(bool secure, const char *fields)
{
    struct http_request request = request_for("/");
    request.secure = secure;
    assert_int_equal(parse_head(arena_printf(arena, "POST / HTTP/1.1\r\nHost: a.example\r\n%s\r\n", fields)), 0);
    return http_same_origin(&request);
}

static void an_origin_is_scheme_host_and_port(void **state)
{
    (void)state;
    assert_true(same_origin(false, "Origin: http://a.example\r\n"));
    assert_true(same_origin(true, "Origin: https://A.example\r\n"));
    assert_false(same_origin(true, "Origin: http://a.example\r\n"));
    assert_false(same_origin(false, "Origin: https://a.example\r\n"));
    assert_false(same_origin(false, "Origin: ftp://a.example\r\n"));
    assert_false(same_origin(false, "Origin: http://a.example:81\r\n"));
    assert_false(same_origin(false, "Origin: http://b.example\r\n"));
    assert_false(same_origin(false, "Origin: null\r\n"));
    assert_false(same_origin(false, "Origin: a.example\r\n"));
    assert_false(same_origin(false, ""));
    assert_true(same_origin(false, "Sec-Fetch-Site: same-origin\r\n"));
    assert_false(same_origin(false, "Sec-Fetch-Site: same-site\r\nOrigin: http://a.example\r\n"));
}

static void cookies_are_for_https_and_this_machine(void **state)
{
    (void)state;
    static const char *const PRIVATE[] = {"localhost",    "LOCALHOST:8080", "127.0.0.1",
                                          "127.9.9.9:80", "[::1]",          "[::1]:80"};
    static const char *const OPEN[] = {
        "a.example", "localhost.example", "10.0.0.1:80", "128.0.0.1", "[::2]", "127.0.0.1.example", "", "localhos"};
    struct http_request request = request_for("/");
    for (size_t i = 0; i < sizeof PRIVATE / sizeof PRIVATE[0]; i++) {
        assert_int_equal(parse_head(arena_printf(arena, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", PRIVATE[i])), 0);
        assert_true(http_cookies_are_private(&request));
    }
    for (size_t i = 0; i < sizeof OPEN / sizeof OPEN[0]; i++) {
        request.secure = false;
        assert_int_equal(parse_head(arena_printf(arena, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", OPEN[i])), 0);
        assert_false(http_cookies_are_private(&request));
        request.secure = true;
        assert_true(http_cookies_are_private(&request));
    }
}

static void ok(struct exchange *exchange)
{
    exchange->response->status = 200;
}

static int routed(const char *method, const char *target, struct http_response *response)
{
    static const struct route routes[] = {{"GET", "/a", ROUTE_OPEN, ok, NULL},
                                          {"POST", "/a", ROUTE_OPEN, ok, NULL},
                                          {"GET", "/a/{id}", ROUTE_OPEN, ok, NULL},
                                          {"POST", "/u", ROUTE_USER, ok, NULL}};
    struct err err;
    struct http_request request = request_for(target);
    struct exchange exchange = {.request = &request, .response = response, .arena = arena};
    request.method = method;
    http_response_init(response, arena);
    assert_int_equal(http_request_parse(&request, &err), 0);
    router_dispatch(routes, 4, &exchange);
    return response->status;
}

static void routes_answer(void **state)
{
    (void)state;
    struct http_response response;
    assert_int_equal(routed("GET", "/a", &response), 200);
    assert_int_equal(routed("HEAD", "/a", &response), 200);
    assert_int_equal(routed("GET", "/a/12?x", &response), 200);
    assert_int_equal(routed("GET", "/a/", &response), 404);
    assert_int_equal(routed("GET", "/a/1/2", &response), 404);
    assert_int_equal(routed("GET", "/", &response), 404);
    assert_int_equal(routed("POST", "/u", &response), 401);
    assert_int_equal(routed("DELETE", "/a", &response), 405);
    buf_add(&response.headers, "", 1);
    assert_non_null(strstr(response.headers.data, "Allow: GET, HEAD, POST, OPTIONS\r\n"));
    assert_int_equal(routed("OPTIONS", "/a/9", &response), 204);
}

static void headers_cannot_be_split(void **state)
{
    (void)state;
    struct http_response response;
    http_response_init(&response, arena);
    http_add_header(&response, "Location", "/x\r\nSet-Cookie: a=b");
    assert_int_equal(response.headers.len, 0);
}

/*
 * RFC 4231. HMAC pads a key with zeros, so one of less than 32 bytes is that key with zeros behind it; and takes the
 * hash of one of more than 64 bytes in its place.
 */
static void hmac_is_the_standard_one(void **state)
{
    (void)state;
    static const struct {
        unsigned char key_byte;
        size_t key_len;
        const char *data;
        size_t data_len;
        const char *expected;
    } cases[] = {
        {0x0b, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {0xaa, 20, NULL, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {0x0c, 20, "Test With Truncation", 20, "a3b6167473100ee06e0c796c2955552b"},
        {0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {0xaa, 131,
         "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
         "hashed before being used by the HMAC algorithm.",
         152, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    unsigned char out[SHA256_SIZE], expected[SHA256_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char key[131] = {0}, fifty[50];
        struct sha256 hash;
        memset(key, cases[i].key_byte, cases[i].key_len);
        memset(fifty, 0xdd, sizeof fifty);
        if (cases[i].key_len > 64) {
            sha256_start(&hash);
            sha256_add(&hash, key, cases[i].key_len);
            sha256_end(&hash, key);
        }
        hmac_sha256(cases[i].data != NULL ? cases[i].data : (const char *)fifty, cases[i].data_len, key, out);
        size_t len = strlen(cases[i].expected) / 2;
        assert_true(hex_decode(cases[i].expected, 2 * len, expected, len));
        assert_memory_equal(out, expected, len);
    }
    const unsigned char jefe[SECRET_SIZE] = "Jefe";
    hmac_sha256("what do ya want for nothing?", 28, jefe, out);
    hex_decode("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", 64, expected, 32);
    assert_memory_equal(out, expected, 32);
}

enum { SECOND = 1000000 };

static const struct signing_key KEY = {"0123456789abcdef", "0123456789abcdef0123456789abcde"};
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"0123456789abcdef\"}"
static const struct actor ANN = {.user_id = "01a2071b-f843-7645-a001-b20b639515c1",
                                 .username = "Ann \"é\"",
                                 .session_id = "01a2071b-f843-7645-a001-b20b639515c2",
                                 .permissions = "audit_read",
                                 .expires = (int64_t)2000 * SECOND};

static int read_token(const char *token, int64_t now, struct actor *actor, struct err *err)
{
    return token_read(arena, &KEY, token, now * SECOND, actor, err);
}

static void tokens_come_back_the_same(void **state)
{
    (void)state;
    struct actor actor;
    struct err err;
    const char *token = token_make(arena, &KEY, &ANN, (int64_t)1000 * SECOND);
    assert_int_equal(read_token(token, 1500, &actor, &err), 0);
    assert_string_equal(actor.user_id, ANN.user_id);
    assert_string_equal(actor.session_id, ANN.session_id);
    assert_null(
        strstr(base64url_decode(arena, strchr(token, '.') + 1, strcspn(strchr(token, '.') + 1, ".")).data, "Ann"));
    char kid[KID_TEXT];
    assert_true(token_kid(arena, token, kid));
    assert_string_equal(kid, KEY.kid);
    assert_int_equal(actor.expires, ANN.expires);
    assert_int_equal(read_token(token, 2000, &actor, &err), -1);
    assert_string_equal(err.text, "The token has expired.");
    assert_int_equal(read_token(token, 900, &actor, &err), -1);
    assert_string_equal(err.text, "The token is not valid yet.");
}

static const char *signed_with(const char *header, const char *claims)
{
    unsigned char signature[SHA256_SIZE];
    char *input = arena_printf(arena, "%s.%s", base64url_encode(arena, header, strlen(header)).data,
                               base64url_encode(arena, claims, strlen(claims)).data);
    hmac_sha256(input, strlen(input), KEY.secret, signature);
    return arena_printf(arena, "%s.%s", input, base64url_encode(arena, signature, sizeof signature).data);
}

static void forged_tokens_are_refused(void **state)
{
    (void)state;
    struct actor actor;
    struct err err;
    const struct signing_key other = {"0123456789abcdef", "another key"}, named = {"0123456789abcdee", "another key"};
    char *token = arena_copy_z(arena, token_make(arena, &KEY, &ANN, (int64_t)1000 * SECOND));
    assert_int_equal(read_token(token_make(arena, &other, &ANN, (int64_t)1000 * SECOND), 1500, &actor, &err), -1);
    assert_int_equal(token_read(arena, &named, token, (int64_t)1500 * SECOND, &actor, &err), -1);
    for (size_t i = 0, len = strlen(token); i < len; i++) {
        char was = token[i];
        token[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(read_token(token, 1500, &actor, &err), -1);
        token[i] = '\0';
        assert_int_equal(read_token(token, 1500, &actor, &err), -1);
        token[i] = was;
    }
    const char *claims = "{\"sub\":\"01a2071b-f843-7645-a001-b20b639515c1\",\"sid\":\"b\","
                         "\"iat\":1000,\"exp\":2000}";
    assert_int_equal(read_token(signed_with(HEADER, claims), 1500, &actor, &err), 0);
    const char *const headers[] = {"{\"alg\":\"none\",\"typ\":\"JWT\",\"kid\":\"0123456789abcdef\"}",
                                   "{\"alg\":\"HS512\",\"typ\":\"JWT\",\"kid\":\"0123456789abcdef\"}",
                                   "{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"0123456789abcdef\"}",
                                   "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"0123456789ABCDEF\"}",
                                   "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"0123456789abcdef\",\"jku\":\"x\"}",
                                   "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
                                   "{}",
                                   ""};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        assert_int_equal(read_token(signed_with(headers[i], claims), 1500, &actor, &err), -1);
    const char *const bodies[] = {"{}", "[]", "1", "{\"sub\":\"x\",\"sid\":\"b\",\"iat\":1,\"exp\":9999}",
                                  "{\"sub\":\"01a2071b-f843-7645-a001-b20b639515c1\",\"sid\":\"b\","
                                  "\"iat\":1000,\"exp\":\"2000\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_int_equal(read_token(signed_with(HEADER, bodies[i]), 1500, &actor, &err), -1);
    assert_int_equal(read_token("..", 1500, &actor, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_decoded_once),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(heads_are_cut_up),
        cmocka_unit_test(other_heads_are_refused),
        cmocka_unit_test(cookies_and_traces_are_found),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
        cmocka_unit_test(cookies_are_for_https_and_this_machine),
        cmocka_unit_test(routes_answer),
        cmocka_unit_test(headers_cannot_be_split),
        cmocka_unit_test(hmac_is_the_standard_one),
        cmocka_unit_test(tokens_come_back_the_same),
        cmocka_unit_test(forged_tokens_are_refused),
    };
    struct err err;
    if (crypt_init(&err) != 0)
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
