/* Targets, queries, cookies. See request.h. */
#include "http/request.h"

#include "base/crypt.h"
#include "base/json.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

struct str http_decode(struct arena *arena, const char *text, size_t len, bool plus_is_space)
{
    const struct str none = {NULL, 0};
    char *out = arena_alloc(arena, len + 1);
    size_t n = 0;
    if (out == NULL)
        return none;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_digit(text[i + 1]) : -1, low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0 || high * 16 + low == 0)
                return none;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[n++] = c;
    }
    return utf8_valid(out, n) ? (struct str){out, n} : none;
}

static int split_path(struct http_request *request, const char *path, size_t len, struct err *err)
{
    for (size_t at = 1; at <= len;) {
        const char *slash = memchr(path + at, '/', len - at);
        size_t end = slash != NULL ? (size_t)(slash - path) : len;
        if (request->segment_count == SEGMENTS)
            return fail(err, ERR_ABSENT, "there is nothing at this path");
        struct str segment = http_decode(request->arena, path + at, end - at, false);
        if (segment.data == NULL)
            return fail(err, ERR_MALFORMED, "the path has a bad percent-escape, a NUL or invalid UTF-8");
        request->segments[request->segment_count++] = segment;
        at = end + 1;
    }
    return 0;
}

/* This version ends with the flags; a later one may go on behind a dash. */
static bool is_traceparent(const char *text)
{
    static const char HEX[] = "0123456789abcdef";
    return strspn(text, HEX) == 2 && strncmp(text, "ff", 2) != 0 && text[2] == '-' &&
           strspn(text + 3, HEX) == TRACE_LEN && text[35] == '-' && strspn(text + 3, "0") != TRACE_LEN &&
           strspn(text + 36, HEX) == SPAN_LEN && text[52] == '-' && strspn(text + 36, "0") != SPAN_LEN &&
           strspn(text + 53, HEX) == 2 && (text[55] == '\0' || (text[55] == '-' && strncmp(text, "00", 2) != 0));
}

/* traceparent: «00-<trace>-<span>-<flags>» (W3C Trace Context); one that is not so is as if it were missing. */
static void take_trace(struct http_request *request)
{
    const char *parent = http_header(request, "traceparent");
    unsigned char raw[16];
    if (parent != NULL && is_traceparent(parent)) {
        memcpy(request->trace_id, parent + 3, TRACE_LEN);
        request->trace_id[TRACE_LEN] = '\0';
        return;
    }
    crypt_unique(raw, sizeof raw);
    hex_encode(raw, sizeof raw, request->trace_id);
}

static int check_query(struct http_request *request, struct err *err)
{
    for (const char *at = request->query; *at != '\0';) {
        size_t len = strcspn(at, "&=");
        if (http_decode(request->arena, at, len, true).data == NULL)
            return fail(err, ERR_MALFORMED, "the query has a bad percent-escape, a NUL or invalid UTF-8");
        at += len + (at[len] != '\0');
    }
    return 0;
}

int http_request_parse(struct http_request *request, struct err *err)
{
    const char *target = request->target;
    take_trace(request);
    request->segment_count = 0;
    request->query = "";
    if (strlen(target) > TARGET_MOST)
        return fail(err, ERR_MALFORMED, "the target is longer than %d bytes", TARGET_MOST);
    if (target[0] != '/')
        return fail(err, ERR_MALFORMED, "the target does not begin with a slash");
    size_t len = strcspn(target, "?");
    if (target[len] == '?')
        request->query = target + len + 1;
    return split_path(request, target, len, err) == 0 ? check_query(request, err) : -1;
}

const char *http_header(const struct http_request *request, const char *name)
{
    return request->header(request->header_source, name);
}

const char *http_query(const struct http_request *request, const char *name)
{
    return http_query_nth(request, name, 0);
}

const char *http_query_nth(const struct http_request *request, const char *name, size_t which)
{
    size_t name_len = strlen(name);
    for (const char *at = request->query; *at != '\0';) {
        size_t len = strcspn(at, "&"), key = strcspn(at, "=&");
        if (key == name_len && memcmp(at, name, key) == 0 && which-- == 0) {
            size_t skip = key < len ? key + 1 : key;
            return http_decode(request->arena, at + skip, len - skip, true).data;
        }
        at += len + (at[len] == '&');
    }
    return NULL;
}

const char *http_cookie(const struct http_request *request, const char *name)
{
    const char *at = http_header(request, "cookie");
    size_t name_len = strlen(name);
    while (at != NULL && *at != '\0') {
        at += strspn(at, " ;");
        size_t len = strcspn(at, ";");
        if (len > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=')
            return arena_copy(request->arena, at + name_len + 1, len - name_len - 1);
        at += len;
    }
    return NULL;
}
