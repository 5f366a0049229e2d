/*
 * Fuzzing the way of a request from its bytes to an answer. An input is a request as HTTP/1.1 spells it: it is cut up
 * once carelessly, as a web server hands it on over FastCGI, and once by http_head_parse, as the notifier does.
 */
#include "tests/fuzz/fuzz.h"

#include "base/clock.h"
#include "base/words.h"
#include "http/finish.h"
#include "http/head.h"
#include "http/router.h"
#include "http/token.h"

#include <string.h>

static const struct signing_key KEY = {"0123456789abcdef", "0123456789abcdef0123456789abcde"};
static struct conf conf = {.http_origins = "https://one.example https://two.example", .articles_content_limit = 40};

static const struct field FIELDS[] = {
    {.name = "title", .type = FIELD_TEXT, .required = true, .least = 1, .most = 20},
    {.name = "content", .type = FIELD_TEXT, .most_option = offsetof(struct conf, articles_content_limit)},
    {.name = "tags", .type = FIELD_TEXTS, .nullable = true, .least = 1, .most = 10, .items = 4},
    {.name = "author", .type = FIELD_ID},
    {.name = "version", .type = FIELD_NUMBER, .least = 1},
    {.name = "published", .type = FIELD_FLAG},
    {.name = "a/b~c", .type = FIELD_TEXT, .nullable = true, .most = 5},
};

static void read_query(struct exchange *exchange)
{
    static const char *const names[] = {"limit", "cursor", "author", "tag",   "status", "q",
                                        "at",    "with",   "after",  "topic", "version"};
    const char *words[WORDS_MOST];
    struct buf buf;
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "{\"id\":");
    buf_json_z(&buf, exchange->id != NULL ? exchange->id : "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = http_query(exchange->request, names[i]);
        if (value == NULL)
            continue;
        demand(utf8_valid(value, strlen(value)), "a parameter is not valid UTF-8");
        json_whole(str_of(value));
        clock_parse(value, strlen(value));
        words_of(exchange->arena, value, words);
        base64url_decode(exchange->arena, value, strlen(value));
        buf_printf(&buf, ",\"%s\":", names[i]);
        buf_json_z(&buf, value);
    }
    buf_puts(&buf, "}");
    http_add_header(exchange->response, "Location", exchange->request->target);
    http_send_json(exchange->response, 200, buf_str(&buf));
}

static void read_body(struct exchange *exchange)
{
    struct err err;
    struct faults faults = {0};
    struct str body = exchange->request->body;
    struct json_object *payload = json_read(body.data, body.len, &err);
    if (payload == NULL) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    bool fits = schema_check(FIELDS, sizeof FIELDS / sizeof FIELDS[0], &conf, payload, exchange->arena, &faults);
    demand(arena_exhausted(exchange->arena) || fits == (faults.count == 0), "%zu faults, but the form %s", faults.count,
           fits ? "fits" : "does not");
    if (fits)
        http_send_json(exchange->response, 201, STR("{}"));
    else
        http_send_problem(exchange->response, exchange->request, 422, "The body has faults.", &faults);
    json_object_put(payload);
}

static const struct route ROUTES[] = {
    {"GET", "/api/articles", ROUTE_ANYONE, read_query, NULL},
    {"POST", "/api/articles", ROUTE_USER, read_body, NULL},
    {"GET", "/api/articles/{id}", ROUTE_ANYONE, read_query, NULL},
    {"PATCH", "/api/articles/{id}", ROUTE_ANYONE, read_body, NULL},
    {"GET", "/api/articles/{id}/revisions/{n}", ROUTE_ANYONE, read_query, NULL},
    {"POST", "/api/auth/login", ROUTE_OPEN, read_body, NULL},
    {"GET", "/events", ROUTE_ANYONE, read_query, NULL},
};

/* Whatever the request says, the headers are lines with a name, and the body is JSON. */
static void check_response(const struct http_response *response, struct arena *arena)
{
    struct err err;
    if (arena_exhausted(arena))
        return;
    struct str headers = buf_str(&response->headers);
    for (const char *at = headers.data, *end = at + headers.len; at < end;) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        demand(feed != NULL && feed > at && feed[-1] == '\r', "a header line without its end");
        size_t len = (size_t)(feed - 1 - at);
        demand(memchr(at, ':', len) > (const void *)at, "a header without a name");
        for (size_t i = 0; i < len; i++)
            demand((unsigned char)at[i] >= ' ' && at[i] != 0x7f, "a control character in a header");
        at = feed + 1;
    }
    demand(response->status >= 200 && response->status < 500, "the status is %d", response->status);
    demand(response->body.len == 0 || json_check(response->body.data, response->body.len, &err) == 0,
           "the body is no JSON: %s", err.text);
}

/* As the application does, without its database. */
static bool identify_by_key(struct exchange *exchange, const struct credentials *credentials)
{
    struct err err;
    char kid[KID_TEXT];
    if (token_kid(exchange->arena, credentials->token, kid) &&
        token_read(exchange->arena, &KEY, credentials->token, clock_now(), &exchange->actor, &err) == 0)
        return true;
    exchange->actor = ANONYMOUS;
    http_refuse_credentials(exchange->response, exchange->request, credentials, "The token is not valid.");
    return false;
}

static void check_actor(const struct http_request *request, struct http_response *response)
{
    struct credentials credentials;
    struct exchange exchange = {
        .request = (struct http_request *)(uintptr_t)request, .response = response, .arena = request->arena};
    const struct actor *actor = &exchange.actor;
    bool fine = http_credentials(request, &credentials, response) &&
                (credentials.token == NULL || identify_by_key(&exchange, &credentials));
    demand(fine || actor->user_id == NULL, "a refused request has a user");
    demand(actor->user_id == NULL || (id_valid(actor->user_id, strlen(actor->user_id)) &&
                                      actor->expires > clock_now() && actor->permissions != NULL),
           "a user without an id, or whose token has expired");
}

static void answer(struct http_request *request)
{
    static const char *const names[] = {"accept", "content-type", "if-match", "if-none-match", "prefer", "host"};
    struct http_response response;
    struct err err;
    struct exchange exchange = {
        .request = request, .response = &response, .arena = request->arena, .identify = identify_by_key};
    http_response_init(&response, request->arena);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        http_header(request, names[i]);
    http_cookie(request, ACCESS_COOKIE);
    if (http_request_parse(request, &err) != 0) {
        demand(arena_exhausted(request->arena) || err.kind == ERR_MALFORMED || err.kind == ERR_ABSENT,
               "the target is refused otherwise: %s", err.text);
        http_send_error(&response, request, &err, NULL);
    } else {
        check_actor(request, &response);
        http_response_init(&response, request->arena);
        router_dispatch(ROUTES, sizeof ROUTES / sizeof ROUTES[0], &exchange);
    }
    http_finish(&response, request, &conf);
    demand(strlen(request->trace_id) == TRACE_LEN, "the trace is %s", request->trace_id);
    check_response(&response, request->arena);
}

/* A token with the body as its claims: no fuzzer finds the signature by itself. */
static const char *signed_body(struct arena *arena, struct str body)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"0123456789abcdef\"}";
    unsigned char mac[SHA256_SIZE];
    struct str head64 = base64url_encode(arena, header, sizeof header - 1);
    struct str body64 = base64url_encode(arena, body.data, body.len);
    char *input = arena_printf(arena, "%s.%s", head64.data, body64.data);
    if (input == NULL || head64.data == NULL || body64.data == NULL)
        return "";
    hmac_sha256(input, strlen(input), KEY.secret, mac);
    struct str mac64 = base64url_encode(arena, mac, sizeof mac);
    const char *value = arena_printf(arena, "Bearer %s.%s", input, mac64.data);
    return value != NULL ? value : "";
}

/* The bytes up to the delimiter, which is left out, as a string. */
static char *take_until(struct arena *arena, struct str *text, const char *delimiters)
{
    size_t len = 0;
    while (len < text->len && (text->data[len] == '\0' || strchr(delimiters, text->data[len]) == NULL))
        len++;
    char *taken = arena_copy(arena, text->data, len);
    size_t skip = len < text->len ? len + 1 : len;
    text->data += skip;
    text->len -= skip;
    return taken;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++)
        *text = (char)(*text >= 'A' && *text <= 'Z' ? *text + 32 : *text);
}

/* As over FastCGI: any byte but a NUL and a line feed may be anywhere, and a carriage return too. */
static void answer_loosely(struct arena *arena, struct str input)
{
    struct http_head head = {0};
    char *method = take_until(arena, &input, " \n"), *target = take_until(arena, &input, " \n");
    char *rest = take_until(arena, &input, "\n"), *line;
    if (method == NULL || target == NULL || rest == NULL)
        return;
    while (input.len > 0 && (line = take_until(arena, &input, "\n")) != NULL && *line != '\0' && *line != '\r') {
        char *colon = strchr(line, ':');
        if (colon == NULL || head.count == HEAD_FIELDS)
            continue;
        *colon = '\0';
        lower(line);
        char *value = colon + 1 + strspn(colon + 1, " ");
        value[strcspn(value, "\r")] = '\0';
        head.fields[head.count].name = line;
        head.fields[head.count++].value = value;
    }
    for (size_t i = 0; i < head.count; i++)
        if (strcmp(head.fields[i].value, "Bearer the-body-signed") == 0)
            head.fields[i].value = signed_body(arena, input);
    struct http_request request = {.method = method,
                                   .target = target,
                                   .body = input,
                                   .header = http_head_field,
                                   .header_source = &head,
                                   .arena = arena};
    answer(&request);
}

/* As the notifier does, with the head in a block of its own. */
static void answer_strictly(struct arena *arena, const char *data, size_t len)
{
    struct http_head head;
    struct err err;
    char *copy = malloc(len);
    if (copy == NULL)
        return;
    memcpy(copy, data, len);
    if (http_head_parse(&head, copy, len, &err) == 0) {
        demand(*head.method != '\0' && strpbrk(head.target, " \r\n\t") == NULL, "the request line is cut up wrongly");
        struct http_request request = {.method = head.method,
                                       .target = head.target,
                                       .header = http_head_field,
                                       .header_source = &head,
                                       .arena = arena};
        request.body = STR("{\"title\":\"x\"}");
        answer(&request);
    } else {
        demand(err.kind == ERR_MALFORMED, "a head is refused otherwise: %s", err.text);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena *arena;
    struct err err;
    if (arena == NULL) {
        demand(crypt_init(&err) == 0, "%s", err.text);
        arena = arena_new(16 * 1024 * 1024);
        demand(arena != NULL, "no memory");
    }
    const char *text = (const char *)data;
    answer_loosely(arena, (struct str){text, size});
    size_t head_len = http_head_length(text, size);
    demand(head_len <= size, "a head of %zu bytes in %zu", head_len, size);
    if (head_len > 0)
        answer_strictly(arena, text, head_len);
    arena_reset(arena);
    return 0;
}
