/* Fuzzing base/json.c: what json_check accepts is read alike by json-c and by our own scanner, and is written back. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static struct arena *arena;

static bool same(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* What buf_json writes of a text is JSON, and json_text reads the same bytes back. */
static void round_trip(struct str text)
{
    struct buf buf;
    struct err err;
    buf_init(&buf, arena);
    buf_json(&buf, text.data, text.len);
    struct str raw = buf_str(&buf);
    if (buf.failed)
        return;
    demand(json_check(raw.data, raw.len, &err) == 0, "buf_json wrote what json_check refuses: %s", err.text);
    struct str back = json_text(arena, raw);
    demand(arena_exhausted(arena) || same(back, text), "a text of %zu bytes came back with %zu", text.len, back.len);
}

static void compare(struct str raw, struct json_object *value);

/* Whether json_member may be asked for the name: its raw spelling needs no escape. */
static bool is_plain(const char *name)
{
    for (; *name != '\0'; name++)
        if ((unsigned char)*name < 0x20 || *name == '"' || *name == '\\')
            return false;
    return true;
}

static void compare_members(struct str raw, struct json_object *object)
{
    enum { MOST = 8 };
    const char *names[MOST];
    struct str values[MOST];
    size_t count = 0;
    struct json_object_iterator at = json_object_iter_begin(object), end = json_object_iter_end(object);
    for (; count < MOST && !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
        if (is_plain(json_object_iter_peek_name(&at)))
            names[count++] = json_object_iter_peek_name(&at);
    json_members(raw, names, values, count);
    for (size_t i = 0; i < count; i++) {
        struct json_object *value = NULL;
        demand(same(json_member(raw, names[i]), values[i]), "json_member and json_members differ on %s", names[i]);
        json_object_object_get_ex(object, names[i], &value);
        if (values[i].data != NULL) /* spelled with escapes, it is not found */
            compare(values[i], value);
    }
}

/* The raw bytes of a value, and what json-c made of them. */
static void compare(struct str raw, struct json_object *value)
{
    struct err err;
    demand(raw.len > 0 && json_check(raw.data, raw.len, &err) == 0, "the bytes of a member are no value: %s", err.text);
    int64_t whole = json_whole(raw), moment = json_moment(raw);
    struct str text = json_text(arena, raw);
    if (json_object_is_type(value, json_type_string)) {
        struct str other = {json_object_get_string(value), (size_t)json_object_get_string_len(value)};
        demand(arena_exhausted(arena) || (text.data != NULL && same(text, other)), "json_text and json-c differ");
        demand(utf8_valid(other.data, other.len), "json-c made invalid UTF-8 of valid JSON");
    } else {
        demand(text.data == NULL && moment == INT64_MIN, "what is no string was read as one");
    }
    demand(whole < 0 || (json_object_is_type(value, json_type_int) && (uint64_t)whole == json_object_get_uint64(value)),
           "json_whole says %" PRId64, whole);
    if (json_object_is_type(value, json_type_object))
        compare_members(raw, value);
}

/* The tree has at most JSON_DEPTH levels. */
static void walk(struct json_object *tree)
{
    if (json_object_is_type(tree, json_type_string)) {
        round_trip((struct str){json_object_get_string(tree), (size_t)json_object_get_string_len(tree)});
    } else if (json_object_is_type(tree, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(tree); i++)
            walk(json_object_array_get_idx(tree, i));
    } else if (json_object_is_type(tree, json_type_object)) {
        struct json_object_iterator at = json_object_iter_begin(tree), end = json_object_iter_end(tree);
        for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
            round_trip(str_of(json_object_iter_peek_name(&at)));
            walk(json_object_iter_peek_value(&at));
        }
    }
}

/* The value itself, without the white space around it. */
static struct str trimmed(struct str text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL)
        text.len--;
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL) {
        text.data++;
        text.len--;
    }
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"title", "content", "tags", "a", ""};
    struct str values[sizeof names / sizeof names[0]], text = {(const char *)data, size};
    struct err err = {0}, why = {0};
    if (arena == NULL && (arena = arena_new(64 * 1024 * 1024)) == NULL)
        return 0;
    bool accepted = json_check(text.data, text.len, &why) == 0;
    struct json_object *tree = json_read(text.data, text.len, &err);
    if (!accepted) {
        demand(tree == NULL && err.kind == ERR_MALFORMED, "json_read took what json_check refuses: %s", why.text);
    } else if (tree == NULL) {
        demand(err.kind == ERR_INVALID || strstr(err.text, " twice ") != NULL, "json-c refuses: %s", err.text);
        json_members(text, names, values, sizeof names / sizeof names[0]);
    } else {
        json_members(text, names, values, sizeof names / sizeof names[0]);
        compare(trimmed(text), tree);
        walk(tree);
    }
    json_object_put(tree);
    if (utf8_valid(text.data, text.len))
        round_trip(text);
    arena_reset(arena);
    return 0;
}
