/* CommonMark. See markdown.h. */
#include "base/markdown.h"

#include "base/buf.h"

#include <cmark.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Whether an address has no scheme, or one that only leads somewhere (RFC 3986, section 3.1). */
static bool is_harmless(const char *url)
{
    static const char *const schemes[] = {"http", "https", "mailto"};
    size_t len = strcspn(url, ":/?#");
    if (url[len] != ':')
        return true;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i]) == len && strncasecmp(url, schemes[i], len) == 0)
            return true;
    return false;
}

static bool disarm(cmark_node *document)
{
    bool done = true;
    cmark_iter *iter = cmark_iter_new(document);
    for (cmark_event_type event; (event = cmark_iter_next(iter)) != CMARK_EVENT_DONE;) {
        cmark_node *node = cmark_iter_get_node(iter);
        cmark_node_type type = cmark_node_get_type(node);
        if (event != CMARK_EVENT_ENTER || (type != CMARK_NODE_LINK && type != CMARK_NODE_IMAGE))
            continue;
        const char *url = cmark_node_get_url(node);
        if (url != NULL && !is_harmless(url))
            done = cmark_node_set_url(node, "") != 0 && done;
    }
    cmark_iter_free(iter);
    return done;
}

enum { NESTED_MOST = 64 };

/* Whether nothing but three or more of one mark is on a line, with blanks between: a rule, which opens no list. */
static bool is_rule(const char *at, const char *end)
{
    size_t marks = 0;
    char mark = '\0';
    for (; at < end; at++) {
        if (*at == ' ' || *at == '\t' || *at == '\r')
            continue;
        if ((*at != '-' && *at != '*') || (marks > 0 && *at != mark))
            return false;
        mark = *at;
        marks++;
    }
    return marks >= 3;
}

/*
 * Whether a line opens more lists and quotations within each other than anybody writes. cmark looks at every open one
 * again for each line, so that ten thousand characters would take it a second.
 */
static bool is_too_deep(struct str text)
{
    size_t opened = 0;
    const char *end = text.data; /* of the line */
    for (size_t i = 0; i < text.len; i++) {
        if (i == 0 || text.data[i - 1] == '\n') {
            end = memchr(text.data + i, '\n', text.len - i);
            end = end != NULL ? end : text.data + text.len;
            opened = 0;
            if (is_rule(text.data + i, end)) {
                i = (size_t)(end - text.data);
                continue;
            }
        }
        char c = text.data[i];
        bool blank_next = i + 1 == text.len || strchr(" \t\n", text.data[i + 1]) != NULL;
        if (c == '>' || (blank_next && strchr("-+*.)", c) != NULL && c != '\0')) {
            if (++opened > NESTED_MOST)
                return true;
        } else if (strchr(" \t\n0123456789.)", c) == NULL || c == '\0') {
            /* The text of the line has begun. */
            i = (size_t)(end - text.data);
        }
    }
    return false;
}

/* The text as it is, when it cannot be taken for CommonMark. */
static struct str preformatted(struct arena *arena, struct str text)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_puts(&buf, "<pre>");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '<' || c == '>' || c == '&')
            buf_puts(&buf, c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&amp;");
        else if (c == '\0') /* U+FFFD, as CommonMark has it */
            buf_puts(&buf, "\xEF\xBF\xBD");
        else
            buf_add(&buf, &c, 1);
    }
    buf_add(&buf, "</pre>\n", sizeof "</pre>\n");
    return buf.failed ? (struct str){NULL, 0} : (struct str){buf.data, buf.len - 1};
}

/* cmark writes the noncharacters U+FFFE and U+FFFF, when they were given as entities, as one byte each. */
static struct str repaired(struct arena *arena, const char *html)
{
    struct buf buf;
    buf_init(&buf, arena);
    for (const char *at = html; *at != '\0';) {
        size_t len = strcspn(at, "\xFE\xFF");
        buf_add(&buf, at, len);
        at += len;
        if (*at != '\0')
            buf_puts(&buf, *at++ == '\xFE' ? "\xEF\xBF\xBE" : "\xEF\xBF\xBF");
    }
    buf_add(&buf, "", 1);
    return buf.failed ? (struct str){NULL, 0} : (struct str){buf.data, buf.len - 1};
}

struct str markdown_html(struct arena *arena, struct str text)
{
    struct str made = {NULL, 0};
    if (is_too_deep(text))
        return preformatted(arena, text);
    cmark_node *document = cmark_parse_document(text.data, text.len, CMARK_OPT_DEFAULT);
    if (document != NULL && disarm(document)) {
        /* Without CMARK_OPT_UNSAFE: raw HTML does not get through. */
        char *html = cmark_render_html(document, CMARK_OPT_DEFAULT);
        if (html != NULL)
            made = repaired(arena, html);
        free(html);
    }
    cmark_node_free(document);
    return made;
}
