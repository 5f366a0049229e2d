/* Fuzzing what is made of an author's text: HTML, slugs, words, diffs, and what of it shows. */
#include "tests/fuzz/fuzz.h"

#include "base/diff.h"
#include "base/json.h"
#include "base/markdown.h"
#include "base/shown.h"
#include "base/slug.h"
#include "base/words.h"

#include <string.h>
#include <strings.h>

static bool is_one_of(const char *text, size_t len, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strlen(*list) == len && strncasecmp(*list, text, len) == 0)
            return true;
    return false;
}

/* The value of an href or src, as it stands in the HTML: no scheme, or one that only leads somewhere. */
static void check_address(const char *url, size_t len)
{
    static const char *const schemes[] = {"http", "https", "mailto", NULL};
    /* A browser leaves out what is not printable, before the scheme and within it. */
    char scheme[16];
    size_t count = 0;
    for (size_t i = 0; i < len && count < sizeof scheme; i++) {
        if (strchr("/?#", url[i]) != NULL)
            return;
        if (url[i] == ':') {
            demand(is_one_of(scheme, count, schemes), "an address leads to %.*s", (int)len, url);
            return;
        }
        if ((unsigned char)url[i] > ' ' && url[i] != 0x7f)
            scheme[count++] = url[i];
    }
}

/* The attributes of a tag, from the end of its name to its «>»; where it ends. */
static const char *check_attributes(const char *at, const char *tag)
{
    static const char *const known[] = {"href", "src", "alt", "title", "class", "start", NULL};
    while (*at == ' ') {
        const char *name = ++at;
        if (*at == '/' && at[1] == '>')
            return at + 2;
        at += strcspn(at, "= >");
        demand(is_one_of(name, (size_t)(at - name), known), "an attribute is not known: %.60s", tag);
        demand(*at == '=' && at[1] == '"', "an attribute is not quoted: %.60s", tag);
        const char *value = at + 2;
        at = strchr(value, '"');
        demand(at != NULL, "an attribute has no end: %.60s", tag);
        if (*name == 'h' || *name == 's')
            check_address(value, (size_t)(at - value));
        at++;
    }
    demand(*at == '>', "a tag has no end: %.60s", tag);
    return at + 1;
}

/* Nothing but the elements of CommonMark, whatever the text says. */
static void check_html(struct str html)
{
    static const char *const known[] = {"p",  "h1", "h2", "h3",  "h4", "h5",     "h6", "blockquote", "ul",   "ol",
                                        "li", "hr", "br", "pre", "em", "strong", "a",  "img",        "code", NULL};
    static const char omitted[] = "<!-- raw HTML omitted -->";
    demand(utf8_valid(html.data, html.len), "the HTML is not valid UTF-8");
    demand(strlen(html.data) == html.len, "the HTML holds a NUL");
    demand(strcasestr(html.data, "<script") == NULL, "the HTML has a script");
    for (const char *at = html.data; (at = strchr(at, '<')) != NULL;) {
        if (strncmp(at, omitted, sizeof omitted - 1) == 0) {
            at += sizeof omitted - 1;
            continue;
        }
        const char *name = at + 1 + (at[1] == '/');
        size_t len = strcspn(name, " />");
        demand(is_one_of(name, len, known), "an element is not known: %.60s", at);
        at = check_attributes(name + len, at);
    }
}

static void check_slug(struct str slug)
{
    demand(slug.len <= SLUG_MOST, "a slug has %zu characters", slug.len);
    demand(strlen(slug.data) == slug.len && strspn(slug.data, "abcdefghijklmnopqrstuvwxyz0123456789-") == slug.len,
           "a slug has other characters: %s", slug.data);
    demand(slug.len == 0 || (slug.data[0] != '-' && slug.data[slug.len - 1] != '-'), "a hyphen at an end: %s",
           slug.data);
    demand(strstr(slug.data, "--") == NULL, "two hyphens: %s", slug.data);
}

static void check_words(struct arena *arena, const char *text)
{
    const char *words[WORDS_MOST], *at = text;
    size_t count = words_of(arena, text, words);
    for (size_t i = 0; i < count && i < WORDS_MOST; i++) {
        if (words[i] == NULL)
            return;
        demand(*words[i] != '\0' && utf8_valid(words[i], strlen(words[i])), "a word is empty or broken");
        at = strstr(at, words[i]);
        demand(at != NULL, "a word is not in the text: %s", words[i]);
        at += strlen(words[i]);
    }
}

/* Tokens that FULLTEXT takes, rising, and no more of them than there is text. */
static void check_extra(struct arena *arena, struct str text)
{
    const char *before = "";
    struct str extra = words_extra(arena, &text, 1);
    if (extra.data == NULL)
        return;
    demand(extra.len <= 3 * text.len, "%zu bytes beside %zu of text", extra.len, text.len);
    demand(utf8_valid(extra.data, extra.len), "what stands beside the text is not valid UTF-8");
    for (char *rest = arena_copy_z(arena, extra.data), *token; rest != NULL && (token = strsep(&rest, " ")) != NULL;) {
        size_t letters = utf8_length(token, strlen(token));
        demand((letters >= 3 && letters <= 84) || extra.len == 0, "a token of %zu letters", letters);
        demand(strcmp(before, token) < 0 || extra.len == 0, "a token again: %s", token);
        before = token;
    }
}

/* What stands before the first form feed, against what stands behind it. */
static void check_diff(struct arena *arena, struct str text)
{
    struct err err;
    struct str diff, before = text, after = {"", 0};
    const char *cut = text.len > 0 ? memchr(text.data, '\f', text.len) : NULL;
    if (cut != NULL) {
        before.len = (size_t)(cut - text.data);
        after = (struct str){cut + 1, text.len - before.len - 1};
    }
    bool same = before.len == after.len && memcmp(before.data, after.data, before.len) == 0;
    if (diff_unified(arena, "v1", before, "v2", after, &diff, &err) != 0) {
        demand(arena_exhausted(arena), "no diff: %s", err.text);
        return;
    }
    demand(same == (diff.len == 0), "a diff of %zu bytes of two texts that are %s", diff.len, same ? "one" : "two");
    demand(same || strncmp(diff.data, "--- v1\n+++ v2\n@@ ", 17) == 0, "a diff begins otherwise: %.60s", diff.data);
}

/* Of any bytes: what was escaped or masked shows, and what shows is left as it is. */
static void check_shown(struct arena *arena, struct str text)
{
    struct buf buf;
    buf_init(&buf, arena);
    shown_escape(&buf, text);
    if (buf.failed)
        return;
    demand(shown_whole(buf_str(&buf)), "what was escaped does not show");
    bool same = buf.len == text.len && (text.len == 0 || memcmp(buf.data, text.data, text.len) == 0);
    demand(same == shown_whole(text), "a text that %s was %s", same ? "does not show" : "shows",
           same ? "kept" : "changed");
    demand(!shown_name(text) || same, "a name does not show");
    char *line = arena_copy(arena, text.data, text.len);
    if (line == NULL)
        return;
    shown_mask(line);
    demand(shown_whole(str_of(line)), "what was masked does not show");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena *arena;
    if (arena == NULL && (arena = arena_new(64 * 1024 * 1024)) == NULL)
        return 0;
    /* A block of its own, so that the sanitizer sees the end of it. Only valid UTF-8 ever gets this far. */
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_shown(arena, (struct str){text, size});
    if (!utf8_valid(text, size))
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(text[i] & 0x7f);
    struct str whole = {text, size};
    struct str html = markdown_html(arena, whole), slug = slug_of(arena, whole);
    demand(html.data != NULL || arena_exhausted(arena), "there is no HTML");
    if (html.data != NULL)
        check_html(html);
    if (slug.data != NULL)
        check_slug(slug);
    check_words(arena, text);
    check_extra(arena, whole);
    check_diff(arena, whole);
    free(text);
    arena_reset(arena);
    return 0;
}
