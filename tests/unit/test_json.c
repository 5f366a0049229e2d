/* base/json: what RFC 8259 allows, and only that. */
#include "tests/unit/unit.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

static bool accepted(const char *text, size_t len)
{
    struct err err;
    return json_check(text, len, &err) == 0;
}

static void good_texts_pass(void **state)
{
    (void)state;
    const char *const texts[] = {"{}",
                                 " [ ] ",
                                 "0",
                                 "-0.5e+10",
                                 "1E5",
                                 "null",
                                 "\"\\ud83d\\ude00\"",
                                 "{\"a\":[1,2,{\"b\":null}],\"c\":\"é😀\"}",
                                 "\"\\u0000\"",
                                 "\"\x7f\""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!accepted(texts[i], strlen(texts[i])))
            fail_on(texts[i]);
}

static void bad_texts_fail(void **state)
{
    (void)state;
    const char *const texts[] = {"",
                                 " ",
                                 "{",
                                 "[1,]",
                                 "{\"a\":1,}",
                                 "{'a':1}",
                                 "{a:1}",
                                 "NaN",
                                 "Infinity",
                                 "-",
                                 "01",
                                 "1.",
                                 ".5",
                                 "1e",
                                 "+1",
                                 "0x10",
                                 "tru",
                                 "nullx",
                                 "{} {}",
                                 "[1 2]",
                                 "{\"a\" 1}",
                                 "// c\n1",
                                 "/* c */ 1",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\ud83d\"",
                                 "\"\\ude00\"",
                                 "\"\\ud83d\\u0041\"",
                                 "\"\n\"",
                                 "\"\t\"",
                                 "\"abc",
                                 "\"\xff\"",
                                 "\"\xc0\xaf\"",
                                 "\"\xed\xa0\x80\"",
                                 "\"\xf4\x90\x80\x80\"",
                                 "\"\xe2\x82\"",
                                 "\xef\xbb\xbf{}",
                                 "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (accepted(texts[i], strlen(texts[i])))
            fail_on(texts[i]);
    assert_false(accepted("1\0", 2));
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[100];
    memset(text, '[', 50);
    memset(text + 50, ']', 50);
    assert_true(accepted(text + 18, 64));
    assert_false(accepted(text + 17, 66));
}

static void trees_keep_every_code_point(void **state)
{
    (void)state;
    struct err err;
    const char text[] = "{\"t\":\"a\\u0000b\\ud83d\\ude00é\"}";
    struct json_object *tree = json_read(text, sizeof text - 1, &err);
    struct str value = json_string(tree, "t");
    assert_int_equal(value.len, 9);
    assert_memory_equal(value.data, "a\0b😀é", 9);
    assert_int_equal(utf8_length(value.data, value.len), 5);
    json_object_put(tree);
}

/* json-c spoils some of them where they are spelled as two escapes. */
static void pairs_of_escapes_are_characters(void **state)
{
    (void)state;
    for (unsigned point = 0x10000; point < 0x110000; point += point < 0x20000 ? 1 : 255) {
        char text[40], raw[5];
        struct err err;
        unsigned high = 0xd800 + ((point - 0x10000) >> 10), low = 0xdc00 + ((point - 0x10000) & 0x3ff);
        int len = snprintf(text, sizeof text, "\"\\\\\\u%04x\\u%04Xz\"", high, low);
        snprintf(raw, sizeof raw, "%c%c%c%c", 0xf0 | point >> 18, 0x80 | (point >> 12 & 0x3f),
                 0x80 | (point >> 6 & 0x3f), 0x80 | (point & 0x3f));
        struct json_object *tree = json_read(text, (size_t)len, &err);
        const char *got = tree != NULL ? json_object_get_string(tree) : "";
        if (strlen(got) != 6 || got[0] != '\\' || memcmp(got + 1, raw, 4) != 0 || got[5] != 'z')
            fail_on(text);
        json_object_put(tree);
    }
}

static void null_at_the_top_is_refused(void **state)
{
    (void)state;
    struct err err;
    assert_null(json_read("null", 4, &err));
    struct json_object *number = json_read("12", 2, &err);
    assert_int_equal(json_object_get_int(number), 12);
    json_object_put(number);
}

static void members_are_found_raw(void **state)
{
    (void)state;
    const struct str object = STR("{ \"a\" : 1.50 , \"b\":{\"a\":2},\"c\":\"x\\\"y\"}");
    assert_true(str_is(json_member(object, "a"), "1.50"));
    assert_true(str_is(json_member(object, "b"), "{\"a\":2}"));
    assert_true(str_is(json_member(object, "c"), "\"x\\\"y\""));
    assert_null(json_member(object, "d").data);
    assert_null(json_member(STR("[]"), "a").data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts_pass),
        cmocka_unit_test(bad_texts_fail),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(trees_keep_every_code_point),
        cmocka_unit_test(pairs_of_escapes_are_characters),
        cmocka_unit_test(null_at_the_top_is_refused),
        cmocka_unit_test(members_are_found_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
