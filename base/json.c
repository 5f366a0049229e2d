/* Strict JSON. See json.h. */
#include "base/json.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

struct scan {
    const char *text, *at, *end;
    const char *why; /* NULL while all is well */
    int depth;
    size_t members; /* in all objects */
    bool in_name;
};

static bool value(struct scan *s);

static bool wrong(struct scan *s, const char *why)
{
    if (s->why == NULL)
        s->why = why;
    return false;
}

static void space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* Bytes of the UTF-8 sequence at p (RFC 3629), 0 where there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t need = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    if (need == 0 || left < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return need;
}

bool utf8_valid(const char *text, size_t len)
{
    for (size_t i = 0, n; i < len; i += n)
        if ((n = utf8_sequence((const unsigned char *)text + i, len - i)) == 0)
            return false;
    return true;
}

size_t utf8_length(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static int hex4(struct scan *s)
{
    int code = 0;
    if (s->end - s->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", c = s->at[i];
        const char *digit = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
        if (digit == NULL)
            return -1;
        code = code * 16 + (int)(digit - digits);
    }
    s->at += 4;
    return code;
}

static bool escape(struct scan *s)
{
    if (s->at == s->end)
        return wrong(s, "a string without its end");
    char c = *s->at++;
    if (c != 'u')
        return (c != '\0' && strchr("\"\\/bfnrt", c) != NULL) || wrong(s, "an unknown escape");
    int code = hex4(s);
    if (code < 0)
        return wrong(s, "\\u without four hexadecimal digits");
    if (code == 0 && s->in_name)
        return wrong(s, "U+0000 in a member name"); /* json-c would cut the name off there */
    if (code >= 0xdc00 && code <= 0xdfff)
        return wrong(s, "a lone surrogate");
    if (code >= 0xd800 && code <= 0xdbff) {
        int low = take(s, '\\') && take(s, 'u') ? hex4(s) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return wrong(s, "a lone surrogate");
    }
    return true;
}

static bool string(struct scan *s)
{
    if (!take(s, '"'))
        return wrong(s, "a string was expected");
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20)
            return wrong(s, "a control character in a string");
        if (c == '\\') {
            s->at++;
            if (!escape(s))
                return false;
            continue;
        }
        size_t n = c < 0x80 ? 1 : utf8_sequence((const unsigned char *)s->at, (size_t)(s->end - s->at));
        if (n == 0)
            return wrong(s, "invalid UTF-8");
        s->at += n;
    }
    return wrong(s, "a string without its end");
}

static bool digits(struct scan *s)
{
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start || wrong(s, "a digit was expected");
}

static bool number(struct scan *s)
{
    take(s, '-');
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        return digits(s);
    }
    return true;
}

static bool word(struct scan *s, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, text, len) != 0)
        return wrong(s, "a value was expected");
    s->at += len;
    return true;
}

enum { NAMES = 64 };

/* Two raw names are the same. What is spelled with escapes, or comes late, json_read finds: the tree is smaller. */
static bool repeated(const struct str *names, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].len == name.len && memcmp(names[i].data, name.data, name.len) == 0)
            return true;
    return false;
}

static bool object(struct scan *s)
{
    struct str names[NAMES];
    size_t count = 0;
    space(s);
    if (take(s, '}'))
        return true;
    do {
        space(s);
        const char *start = s->at;
        s->in_name = true;
        if (!string(s))
            return false;
        s->in_name = false;
        s->members++;
        struct str name = {start, (size_t)(s->at - start)};
        if (repeated(names, count, name))
            return wrong(s, "a member name twice in one object");
        if (count < NAMES)
            names[count++] = name;
        space(s);
        if (!take(s, ':'))
            return wrong(s, "a colon was expected");
        if (!value(s))
            return false;
        space(s);
    } while (take(s, ','));
    return take(s, '}') || wrong(s, "a comma or a closing brace was expected");
}

static bool array(struct scan *s)
{
    space(s);
    if (take(s, ']'))
        return true;
    do {
        if (!value(s))
            return false;
        space(s);
    } while (take(s, ','));
    return take(s, ']') || wrong(s, "a comma or a closing bracket was expected");
}

static bool nested(struct scan *s, bool (*inner)(struct scan *))
{
    s->at++;
    if (++s->depth > JSON_DEPTH)
        return wrong(s, "more than 32 levels");
    bool ok = inner(s);
    s->depth--;
    return ok;
}

static bool value(struct scan *s)
{
    space(s);
    if (s->at == s->end)
        return wrong(s, "a value was expected");
    switch (*s->at) {
    case '{':
        return nested(s, object);
    case '[':
        return nested(s, array);
    case '"':
        return string(s);
    case 't':
        return word(s, "true");
    case 'f':
        return word(s, "false");
    case 'n':
        return word(s, "null");
    default:
        return number(s);
    }
}

static int check(const char *text, size_t len, size_t *members, struct err *err)
{
    struct scan s = {.text = text, .at = text, .end = text + len};
    if (value(&s)) {
        space(&s);
        *members = s.members;
        if (s.at == s.end)
            return 0;
        wrong(&s, "bytes after the value");
    }
    return fail(err, ERR_MALFORMED, "not valid JSON: %s at byte %zu", s.why, (size_t)(s.at - text));
}

int json_check(const char *text, size_t len, struct err *err)
{
    size_t members;
    return check(text, len, &members, err);
}

/* The members of all objects in a tree, which is at most JSON_DEPTH deep. */
static size_t members_of(struct json_object *tree)
{
    size_t count = 0;
    if (json_object_is_type(tree, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(tree); i++)
            count += members_of(json_object_array_get_idx(tree, i));
    } else if (json_object_is_type(tree, json_type_object)) {
        struct json_object_iterator at = json_object_iter_begin(tree), end = json_object_iter_end(tree);
        for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
            count += 1 + members_of(json_object_iter_peek_value(&at));
    }
    return count;
}

static char *put_utf8(char *out, unsigned point)
{
    if (point < 0x80) {
        *out++ = (char)point;
        return out;
    }
    int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned first[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (char)(first[more] | point >> (6 * more));
    while (more-- > 0)
        *out++ = (char)(0x80 | (point >> (6 * more) & 0x3f));
    return out;
}

/* One escape, behind its backslash; the text is known to be valid. */
static char *unescape(struct scan *s, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    char c = *s->at++;
    if (c == 'u') {
        int point = hex4(s);
        if (point >= 0xd800 && point < 0xdc00) {
            s->at += 2;
            point = 0x10000 + ((point - 0xd800) << 10) + (hex4(s) - 0xdc00);
        }
        return put_utf8(out, (unsigned)point);
    }
    const char *known = strchr(from, c);
    *out++ = known != NULL ? to[known - from] : c;
    return out;
}

/*
 * json-c (0.16) takes 2048 characters of each plane above the first for surrogates, U+1D800 for one, where they are
 * spelled as pairs of escapes. So it is given the characters themselves: a copy, to be freed, which is shorter; NULL
 * where there is no memory. text is known to be valid.
 */
static char *without_pairs(const char *text, size_t len, size_t *copied)
{
    struct scan s = {.text = text, .at = text, .end = text + len};
    char *copy = malloc(len + 1), *out = copy;
    while (copy != NULL && s.at < s.end) {
        if (*s.at != '\\') {
            *out++ = *s.at++;
        } else if (s.end - s.at >= 12 && s.at[1] == 'u' && (s.at[2] | 32) == 'd' && strchr("89abAB", s.at[3]) != NULL) {
            s.at++;
            out = unescape(&s, out);
        } else {
            *out++ = *s.at++;
            *out++ = *s.at++;
        }
    }
    *copied = (size_t)(out - copy);
    return copy;
}

static struct json_object *read_tree(struct json_tokener *tokener, const char *text, size_t len)
{
    size_t copied;
    char *copy = without_pairs(text, len, &copied);
    struct json_object *tree = copy != NULL ? json_tokener_parse_ex(tokener, copy, (int)copied) : NULL;
    free(copy);
    return tree;
}

struct json_object *json_read(const char *text, size_t len, struct err *err)
{
    size_t members;
    if (check(text, len, &members, err) != 0)
        return NULL;
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH + 1);
    if (tokener == NULL) {
        fail(err, ERR_UNAVAILABLE, "no memory to read JSON");
        return NULL;
    }
    struct json_object *tree = read_tree(tokener, text, len);
    /* A number or literal at the very end is only complete once the tokener sees what follows it. */
    if (tree == NULL && json_tokener_get_error(tokener) == json_tokener_continue)
        tree = json_tokener_parse_ex(tokener, " ", 1);
    if (tree == NULL && json_tokener_get_error(tokener) != json_tokener_success)
        fail(err, ERR_MALFORMED, "not valid JSON: %s", json_tokener_error_desc(json_tokener_get_error(tokener)));
    else if (tree == NULL)
        fail(err, ERR_INVALID, "the JSON value is null");
    json_tokener_free(tokener);
    if (tree != NULL && members_of(tree) != members) {
        fail(err, ERR_MALFORMED, "not valid JSON: a member name twice in one object");
        json_object_put(tree);
        tree = NULL;
    }
    return tree;
}

static void take_value(const char *const *names, struct str *values, size_t count, struct str name, struct str found)
{
    for (size_t i = 0; i < count; i++)
        if (values[i].data == NULL && name.len == strlen(names[i]) && memcmp(name.data, names[i], name.len) == 0) {
            values[i] = found;
            return;
        }
}

void json_members(struct str object, const char *const *names, struct str *values, size_t count)
{
    struct scan s = {.text = object.data, .at = object.data, .end = object.data + object.len};
    memset(values, 0, count * sizeof *values);
    space(&s);
    if (!take(&s, '{'))
        return;
    do {
        space(&s);
        const char *start = s.at;
        if (!string(&s))
            return;
        struct str name = {start + 1, (size_t)(s.at - start) - 2};
        space(&s);
        if (!take(&s, ':'))
            return;
        space(&s);
        start = s.at;
        if (!value(&s))
            return;
        take_value(names, values, count, name, (struct str){start, (size_t)(s.at - start)});
        space(&s);
    } while (take(&s, ','));
}

struct str json_member(struct str object, const char *name)
{
    struct str found;
    json_members(object, &name, &found, 1);
    return found;
}

struct str json_text(struct arena *arena, struct str raw)
{
    if (raw.len < 2 || raw.data[0] != '"')
        return (struct str){NULL, 0};
    char *text = arena_copy(arena, raw.data + 1, raw.len - 2);
    char *out = text != NULL ? memchr(text, '\\', raw.len - 2) : NULL;
    if (out == NULL)
        return (struct str){text, text != NULL ? raw.len - 2 : 0};
    /* What an escape stands for is never longer than the escape, so it is done in place. */
    struct scan s = {.text = text, .at = out, .end = text + raw.len - 2};
    while (s.at < s.end) {
        if (take(&s, '\\'))
            out = unescape(&s, out);
        else
            *out++ = *s.at++;
    }
    *out = '\0';
    return (struct str){text, (size_t)(out - text)};
}

int64_t json_whole(struct str raw)
{
    int64_t value = 0;
    if (raw.len == 0 || raw.len > 18 || (raw.len > 1 && raw.data[0] == '0'))
        return -1;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.data[i] < '0' || raw.data[i] > '9')
            return -1;
        value = value * 10 + (raw.data[i] - '0');
    }
    return value;
}

int64_t json_moment(struct str raw)
{
    return raw.len > 2 && raw.data[0] == '"' ? clock_parse(raw.data + 1, raw.len - 2) : INT64_MIN;
}

struct str json_string(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;
    if (!json_object_object_get_ex(object, name, &member) || !json_object_is_type(member, json_type_string))
        return (struct str){NULL, 0};
    return (struct str){json_object_get_string(member), (size_t)json_object_get_string_len(member)};
}
