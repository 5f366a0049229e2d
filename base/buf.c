/* Growing bytes in an arena. See buf.h. */
#include "base/buf.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *buf, struct arena *arena)
{
    *buf = (struct buf){.arena = arena};
}

static bool reserve(struct buf *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (buf->cap - buf->len >= more)
        return true;
    size_t cap = buf->cap < 256 ? 256 : buf->cap * 2;
    if (cap < buf->len + more)
        cap = buf->len + more;
    char *data = arena_alloc(buf->arena, cap);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    if (buf->len > 0)
        memcpy(data, buf->data, buf->len);
    buf->data = data;
    buf->cap = cap;
    return true;
}

void buf_room(struct buf *buf, size_t more)
{
    reserve(buf, more);
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    if (len > 0 && reserve(buf, len)) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

/* Into what room there is; where it is too small, once more. */
void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int len = buf->failed ? -1 : vsnprintf(room > 0 ? buf->data + buf->len : NULL, room, format, args);
    if (len >= 0 && (size_t)len >= room && reserve(buf, (size_t)len + 1))
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
    if (len >= 0 && !buf->failed)
        buf->len += (size_t)len;
    va_end(again);
    va_end(args);
}

static void add_escape(struct buf *buf, unsigned char c)
{
    switch (c) {
    case '"':
        buf_puts(buf, "\\\"");
        break;
    case '\\':
        buf_puts(buf, "\\\\");
        break;
    case '\n':
        buf_puts(buf, "\\n");
        break;
    case '\r':
        buf_puts(buf, "\\r");
        break;
    case '\t':
        buf_puts(buf, "\\t");
        break;
    default:
        buf_printf(buf, "\\u%04x", c);
    }
}

void buf_json(struct buf *buf, const char *data, size_t len)
{
    size_t start = 0;
    buf_add(buf, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(buf, data + start, i - start);
        add_escape(buf, c);
        start = i + 1;
    }
    buf_add(buf, data + start, len - start);
    buf_add(buf, "\"", 1);
}

void buf_json_z(struct buf *buf, const char *text)
{
    buf_json(buf, text, strlen(text));
}

void buf_moment(struct buf *buf, int64_t moment)
{
    char text[CLOCK_TEXT];
    if (moment == INT64_MIN) {
        buf_puts(buf, "null");
        return;
    }
    clock_rfc3339(moment, text);
    buf_printf(buf, "\"%s\"", text);
}

void buf_words(struct buf *buf, const char *words)
{
    buf_puts(buf, "[");
    for (const char *at = words; *at != '\0';) {
        size_t len = strcspn(at, " ");
        buf_json(buf, at, len);
        at += len + strspn(at + len, " ");
        buf_puts(buf, *at != '\0' ? "," : "");
    }
    buf_puts(buf, "]");
}

struct str buf_str(const struct buf *buf)
{
    return buf->failed ? (struct str){"", 0} : (struct str){buf->data != NULL ? buf->data : "", buf->len};
}
