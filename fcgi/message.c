/* Requests and answers over FastCGI. See message.h. */
#include "fcgi/message.h"

#include "base/crypt.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CHUNK = 16384, DRAIN_MOST = 8 * 1024 * 1024 };

struct source {
    const FCGX_Request *fcgi;
    struct arena *arena;
};

/* A variable that is there several times, once for each line of a header, is one list (RFC 9110, section 5.3). */
static const char *whole_value(const struct source *source, const char *variable, const char *separator)
{
    const char *whole = NULL;
    size_t len = strlen(variable);
    for (char **at = source->fcgi->envp; *at != NULL; at++)
        if (strncmp(*at, variable, len) == 0 && (*at)[len] == '=')
            whole =
                whole == NULL ? *at + len + 1 : arena_printf(source->arena, "%s%s%s", whole, separator, *at + len + 1);
    return whole;
}

/* A header is the CGI variable of its name (RFC 3875, section 4.1.18). */
static const char *header(const void *source, const char *name)
{
    char variable[80] = "HTTP_";
    const char *separator = strcmp(name, "cookie") == 0 ? "; " : ", ";
    bool is_body = strcmp(name, "content-type") == 0 || strcmp(name, "content-length") == 0;
    size_t at = is_body ? 0 : 5;
    for (; *name != '\0' && at < sizeof variable - 1; name++)
        variable[at++] = (char)(*name == '-' ? '_' : *name >= 'a' && *name <= 'z' ? *name - 32 : *name);
    variable[at] = '\0';
    const char *value = source != NULL ? whole_value(source, variable, separator) : NULL;
    /* Web servers set these two, empty, where the request has none. */
    return value != NULL && (*value != '\0' || !is_body) ? value : NULL;
}

static const char *param(const FCGX_Request *fcgi, const char *name, const char *standard)
{
    const char *value = FCGX_GetParam(name, fcgi->envp);
    return value != NULL ? value : standard;
}

/* What is left of a refused body, so that the web server reads our answer before the end of the connection. */
static void drain(FCGX_Request *fcgi)
{
    char chunk[CHUNK];
    for (size_t total = 0; total < DRAIN_MOST; total += CHUNK)
        if (FCGX_GetStr(chunk, CHUNK, fcgi->in) < CHUNK)
            return;
}

static int too_large(FCGX_Request *fcgi, int64_t limit, struct err *err)
{
    drain(fcgi);
    fail(err, ERR_MALFORMED, "The body has more than %lld bytes.", (long long)limit);
    return 413;
}

static int read_body(FCGX_Request *fcgi, int64_t limit, struct arena *arena, struct str *body, struct err *err)
{
    struct buf buf;
    char chunk[CHUNK];
    const char *length = param(fcgi, "CONTENT_LENGTH", "");
    long long announced = *length != '\0' ? strtoll(length, NULL, 10) : -1;
    if (announced > limit)
        return too_large(fcgi, limit, err);
    buf_init(&buf, arena);
    for (int got = CHUNK; got == CHUNK;) {
        got = FCGX_GetStr(chunk, CHUNK, fcgi->in);
        buf_add(&buf, chunk, got > 0 ? (size_t)got : 0);
        if (buf.len > (size_t)limit)
            return too_large(fcgi, limit, err);
    }
    if (FCGX_GetError(fcgi->in) != 0 || (announced >= 0 && buf.len != (size_t)announced) || buf.failed) {
        fail(err, ERR_MALFORMED, "The body ended before its announced length.");
        return 400;
    }
    *body = buf_str(&buf);
    crypt_wipe(chunk, sizeof chunk);
    return 0;
}

/* Whether one of our proxies says that it was asked over https. */
static bool secure_before(const struct http_request *request, const struct conf *conf)
{
    struct address peer;
    const char *proto = http_header(request, "x-forwarded-proto");
    return proto != NULL && strcasecmp(proto, "https") == 0 && request->peer != NULL &&
           address_parse(request->peer, strlen(request->peer), &peer) && networks_have(&conf->proxies, &peer);
}

int message_read(FCGX_Request *fcgi, const struct conf *conf, struct arena *arena, struct http_request *request,
                 struct err *err)
{
    const char *method = param(fcgi, "REQUEST_METHOD", "GET");
    struct source *source = arena_alloc(arena, sizeof *source);
    if (source != NULL)
        *source = (struct source){fcgi, arena};
    *request = (struct http_request){
        .method = method,
        .target = param(fcgi, "REQUEST_URI", ""),
        .secure =
            strcmp(param(fcgi, "HTTPS", ""), "on") == 0 || strcmp(param(fcgi, "REQUEST_SCHEME", ""), "https") == 0,
        .peer = param(fcgi, "REMOTE_ADDR", NULL),
        .header = header,
        .header_source = source,
        .arena = arena,
    };
    request->secure = request->secure || secure_before(request, conf);
    int status = http_request_parse(request, err) != 0 ? (err->kind == ERR_ABSENT ? 404 : 400) : 0;
    if (strlen(request->target) > TARGET_MOST)
        status = 414;
    int body = read_body(fcgi, conf->fcgi_body_limit, arena, &request->body, status == 0 ? err : NULL);
    return status != 0 ? status : body;
}

bool message_write(FCGX_Request *fcgi, const struct http_request *request, const struct http_response *response)
{
    struct str headers = buf_str(&response->headers);
    bool bodiless = response->status == 204 || response->status == 304;
    FCGX_FPrintF(fcgi->out, "Status: %d %s\r\n", response->status, http_reason(response->status));
    FCGX_PutStr(headers.data, (int)headers.len, fcgi->out);
    if (!bodiless)
        FCGX_FPrintF(fcgi->out, "Content-Length: %d\r\n", (int)response->body.len);
    FCGX_PutStr("\r\n", 2, fcgi->out);
    if (!bodiless && strcmp(request->method, "HEAD") != 0)
        FCGX_PutStr(response->body.data, (int)response->body.len, fcgi->out);
    return FCGX_GetError(fcgi->out) == 0;
}
