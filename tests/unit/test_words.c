/* base/words: what a search asks for, and what stands beside a text so that it is found. base/fold: names. */
#include "tests/unit/unit.h"

#include "base/fold.h"
#include "base/shown.h"
#include "base/words.h"

#include <string.h>

#define X10 "xxxxxxxxxx"
#define X80 X10 X10 X10 X10 X10 X10 X10 X10

static void check_extra(const char *text, const char *expected)
{
    struct arena *arena = arena_new(1024 * 1024);
    struct str whole = str_of(text), extra = words_extra(arena, &whole, 1);
    assert_non_null(extra.data);
    assert_string_equal(extra.data, expected);
    assert_int_equal(extra.len, strlen(expected));
    arena_free(&arena);
}

static void beside_a_text_stands_what_is_not_indexed(void **state)
{
    (void)state;
    check_extra("", "");
    check_extra("Three words, indexed.", "");
    check_extra("AI is AI: the state of a", "a__ ai_ is_ of_");
    check_extra("Cafés à l’école, l'été", "l__ à__");
    check_extra("_emphasis_ of snake_case __AI__", "ai_ case emphasis of_ snake");
    check_extra("東京都", "京都_ 東京_ 都__");
    check_extra("字, 語", "字__ 語__");
    check_extra("MariaDB入門 2版", "2__ mariadb 入門_ 版__ 門__");
    check_extra("データ", "タ__ デー_ ータ_");
    check_extra("한국어는 말", "말__");
    check_extra("ไทย", "ทย_ ย__ ไท_");
    check_extra("\xf0\xa0\xae\xb7野", "20bb7野_ 野__");
    check_extra("か\xe3\x82\x99く", "かく_ く__");
    check_extra("\xe2\x9d\xa4\xef\xb8\x8f \xe2\x80\x94 !", "");
    check_extra("മലയാളം ഞാൻ അവർ", "അവd7c ഞാd7b");
    check_extra("မြန်", "103a__ 103cန_ န103a_ မ103c_");
    check_extra("STRAẞE Straße", "straße");
    check_extra("ᎠᎩ ꭰꭹꮝ ᎠᎩꮝ", "ᎠᎩ_ ᎠᎩᏍ");
    check_extra("ॲप\xdb\x9eॲ", "972 972प");
    check_extra(X80 "xxxx", "");
    check_extra(X80 "xxxxX", X80);
}

static void texts_are_not_joined(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024 * 1024);
    const struct str texts[] = {STR("東"), STR(""), STR("京 AI"), STR("ai")};
    assert_true(str_is(words_extra(arena, texts, 4), "ai_ 京__ 東__"));
    arena_free(&arena);
}

static void doubles_are_few_and_an_arena_may_be_small(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct arena *arena = arena_new(1024 * 1024), *small = arena_new(32 * 1024), *all = arena_new(8 * 1024 * 1024);
    struct buf buf;
    buf_init(&buf, all);
    for (int i = 0; i < MANY; i++)
        buf_puts(&buf, i % 2 == 0 ? "東" : "京");
    struct str text = buf_str(&buf);
    assert_true(str_is(words_extra(arena, &text, 1), "京__ 京東_ 東京_"));
    buf.len = 0;
    for (int i = 0; i < MANY; i++)
        buf_printf(&buf, "%c%c%c%c", 0xe4 + i / 4096 % 4, 0x80 + i / 64 % 64, 0x80 + i % 64, ' ');
    text = buf_str(&buf);
    /* 64 of them are hexagrams, and 10 too new. */
    assert_int_equal(words_extra(arena, &text, 1).len, (4 * 4096 - 64) * 6 + 10 - 1);
    assert_null(words_extra(small, &text, 1).data);
    assert_true(arena_exhausted(small));
    arena_free(&arena);
    arena_free(&small);
    arena_free(&all);
}

static const char *match_of(struct arena *arena, const char *word)
{
    struct buf buf;
    buf_init(&buf, arena);
    words_match(&buf, word);
    return arena_copy(arena, buf.data, buf.len);
}

static void a_query_asks_for_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *word, *match;
    } cases[] = {
        {"Quokka", "+quokka*"},
        {"AI", "+ai*"},
        {"A", "+a__"},
        {"ഞാൻ", "+ഞാd7b*"},
        {"STRAẞE", "+straße*"},
        {"ꭰꭹꮝ", "+ᎠᎩᏍ*"},
        {"東京", "+東京_"},
        {"東京都", "+東京_ +京都_"},
        {"都", "+都*"},
        {X80 X10, "+" X80 "*"},
        {"\xf0\xa0\xae\xb7野", "+20bb7野_"},
        {"一二三四五六七八九十百千万億兆京東都北西南", "+一二_ +二三_ +三四_ +四五_ +五六_ +六七_ +七八_ +八九_ +九十_ "
                                                       "+十百_ +百千_ +千万_ +万億_ +億兆_ +兆京_ +京東_"},
    };
    struct arena *arena = arena_new(100000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(match_of(arena, cases[i].word), cases[i].match);
    arena_free(&arena);
}

static void words_are_split(void **state)
{
    (void)state;
    const char *words[WORDS_MOST];
    struct arena *arena = arena_new(100000);
    assert_int_equal(words_of(arena, "+l’école_(2) 東京AI", words), 5);
    static const char *const expected[] = {"l", "école", "2", "東京", "AI"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(words[i], expected[i]);
    assert_int_equal(words_of(arena, " _*\"@ ", words), 0);
    assert_int_equal(words_of(arena, "a b c d e f g h i j", words), 10);
    assert_string_equal(words[WORDS_MOST - 1], "h");
    arena_free(&arena);
}

static bool same(const char *one, const char *other)
{
    struct arena *arena = arena_new(1024 * 1024);
    struct str a = fold_of(arena, str_of(one)), b = fold_of(arena, str_of(other));
    assert_non_null(a.data);
    assert_non_null(b.data);
    bool is = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
    arena_free(&arena);
    return is;
}

/* Each of these was compared with MariaDB's utf8mb4_unicode_520_ci. */
static void names_are_folded_as_the_database_does(void **state)
{
    (void)state;
    assert_true(same("admin", "ADMIN"));
    assert_true(same("admin", "Ádmïn  "));
    assert_true(same("admin", "ad\xc2\xadmi\xe2\x80\x8bn"));
    assert_true(same("admin", "admin\xdb\x9e"));
    assert_true(same("admin", "\xe1\x82\x8d\x61\x64min"));
    assert_true(same("admin", "ａｄｍｉｎ"));
    assert_true(same("strasse", "straße"));
    assert_true(same("", "\xe2\x80\x8b"));
    assert_false(same("admin", "adm1n"));
    assert_false(same("admin", " admin"));
    assert_false(same("ad-min", "admin"));
    assert_false(same("ann", "anne"));
    assert_false(same("東京", "京都"));
    assert_false(same("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x81"));
    fold_end();
    assert_true(same("a", "A"));
    fold_end();
}

static void a_fold_fits_whatever_it_is_of(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024 * 1024), *little = arena_new(100);
    char text[254 * 3 + 1];
    for (size_t i = 0; i < 254; i++)
        memcpy(text + 3 * i, "\xef\xb7\xba", 3);
    text[sizeof text - 1] = '\0';
    struct str one = fold_of(arena, str_of("\xef\xb7\xba")), all = fold_of(arena, str_of(text));
    assert_in_range(one.len, 2, 72);
    assert_int_equal(all.len, 254 * one.len);
    assert_null(fold_of(little, str_of(text)).data);
    arena_free(&arena);
    arena_free(&little);
    fold_end();
}

static void what_does_not_show_is_found(void **state)
{
    (void)state;
    static const char *const SHOWN[] = {"ann", "Ádám", "東京", "ไทย", "हिन्दी", "a-b.c", "😀", "e\xcc\x81"};
    static const char *const HIDDEN[] = {"a\x1b[2J",
                                         "a\x7f",
                                         "a\xc2\x9b"
                                         "31m",
                                         "a\xe2\x80\xae"
                                         "b",
                                         "a\xe2\x80\x8b",
                                         "a\xc2\xad",
                                         "a\xe2\x80\xa8"
                                         "b",
                                         "a\xe2\x80\xa9"
                                         "b",
                                         "a\xef\xbb\xbf",
                                         "a\xe2\x81\xa6"
                                         "b",
                                         "a\xf3\xa0\x81\x81",
                                         "a\xe3\x85\xa4",
                                         "a\xed\xa0\x80",
                                         "a\xff",
                                         "a\nb",
                                         "\t"};
    static const char *const NO_NAMES[] = {"",
                                           " ",
                                           "a b",
                                           "a\xc2\xa0"
                                           "b",
                                           "a\xe3\x80\x80",
                                           "\xcc\x81\xcc\x81",
                                           "\xe2\x80\x83\xe2\x80\x83"};
    for (size_t i = 0; i < sizeof SHOWN / sizeof SHOWN[0]; i++)
        assert_true(shown_whole(str_of(SHOWN[i])) && shown_name(str_of(SHOWN[i])));
    for (size_t i = 0; i < sizeof HIDDEN / sizeof HIDDEN[0]; i++)
        assert_false(shown_whole(str_of(HIDDEN[i])) || shown_name(str_of(HIDDEN[i])));
    for (size_t i = 0; i < sizeof NO_NAMES / sizeof NO_NAMES[0]; i++)
        assert_false(shown_name(str_of(NO_NAMES[i])));
    assert_false(shown_whole((struct str){"a\0b", 3}));
    assert_true(shown_whole(STR("a b")));
}

static void what_does_not_show_is_escaped(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    struct buf buf;
    buf_init(&buf, arena);
    shown_escape(&buf, STR("\x1b[2J é \xc2\x9b\xe2\x80\xae 東 \xf3\xa0\x81\x81 \xff."));
    assert_true(str_is(buf_str(&buf), "\\u001b[2J é \\u009b\\u202e 東 \\udb40\\udc41 \\ufffd."));
    char line[] = "\x1b[2J é \xc2\x9b\xe2\x80\xae\n 東\xff";
    shown_mask(line);
    assert_string_equal(line, "?[2J é ?????? 東?");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beside_a_text_stands_what_is_not_indexed),
        cmocka_unit_test(texts_are_not_joined),
        cmocka_unit_test(doubles_are_few_and_an_arena_may_be_small),
        cmocka_unit_test(a_query_asks_for_the_same),
        cmocka_unit_test(words_are_split),
        cmocka_unit_test(names_are_folded_as_the_database_does),
        cmocka_unit_test(a_fold_fits_whatever_it_is_of),
        cmocka_unit_test(what_does_not_show_is_found),
        cmocka_unit_test(what_does_not_show_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
