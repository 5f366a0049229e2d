/* base: arena, buffers, times, ids, encodings. */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/id.h"

#include <string.h>

static void arena_keeps_its_limit(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    assert_non_null(arena_alloc(arena, 60000));
    assert_false(arena_exhausted(arena));
    assert_null(arena_alloc(arena, 60000));
    assert_true(arena_exhausted(arena));
    assert_null(arena_alloc(arena, SIZE_MAX));
    arena_reset(arena);
    assert_false(arena_exhausted(arena));
    assert_non_null(arena_alloc(arena, 60000));
    arena_free(&arena);
    assert_null(arena);
    arena_free(&arena);
}

static void buf_records_its_failure(void **state)
{
    (void)state;
    struct arena *arena = arena_new(40000);
    struct buf buf;
    buf_init(&buf, arena);
    for (int i = 0; i < 10000; i++)
        buf_puts(&buf, "0123456789");
    assert_true(buf.failed);
    assert_int_equal(buf_str(&buf).len, 0);
    arena_free(&arena);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    struct buf buf;
    buf_init(&buf, arena);
    buf_json(&buf, "a\"\\\n\x01\0é", 8);
    assert_true(str_is(buf_str(&buf), "\"a\\\"\\\\\\n\\u0001\\u0000é\""));
    arena_free(&arena);
}

static void times_go_there_and_back(void **state)
{
    (void)state;
    char text[CLOCK_TEXT];
    const int64_t moments[] = {0, 1, 951782400000000, 1769860800000001, 4102444799999999, -1};
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        clock_rfc3339(moments[i], text);
        assert_int_equal(clock_parse(text, strlen(text)), moments[i]);
        clock_sql(moments[i], text);
        assert_int_equal(clock_parse(text, strlen(text)), moments[i]);
    }
    clock_rfc3339(951782400000000, text);
    assert_string_equal(text, "2000-02-29T00:00:00.000000Z");
    assert_int_equal(clock_parse("2000-02-29T00:00:00Z", 20), 951782400000000);
    assert_int_equal(clock_parse("2000-02-29T00:00:00.12Z", 23), 951782400120000);
    assert_int_equal(clock_parse("2000-02-29T00:00:00.Z", 21), INT64_MIN);
    assert_int_equal(clock_parse("2000-02-29T00:00:00.1234567Z", 28), INT64_MIN);
    assert_int_equal(clock_parse("2000-13-29T00:00:00.000000Z", 27), INT64_MIN);
    static const struct {
        const char *text;
        int64_t moment;
    } any[] = {
        {"2000-02-29T00:00:00Z", 951782400000000},
        {"2000-02-29t00:00:00z", 951782400000000},
        {"2000-02-29T00:00:00+00:00", 951782400000000},
        {"2000-02-29T00:00:00-00:00", 951782400000000},
        {"2000-02-29T01:30:00+01:30", 951782400000000},
        {"2000-02-28T19:00:00.5-05:00", 951782400500000},
        {"2000-02-29T00:00:00.123456789Z", 951782400123456},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999},
        {"9999-12-31T23:59:59-00:01", INT64_MIN},
        {"0000-01-01T00:00:00Z", -62167219200000000},
        {"0000-01-01T00:00:00+00:01", INT64_MIN},
        {"2000-02-29 00:00:00Z", INT64_MIN},
        {"2000-02-29T00:00:00", INT64_MIN},
        {"2000-02-29T00:00:00.", INT64_MIN},
        {"2000-02-29T00:00:00.Z", INT64_MIN},
        {"2000-02-29T00:00:00+0000", INT64_MIN},
        {"2000-02-29T00:00:00+24:00", INT64_MIN},
        {"2000-02-29T00:00:00ZZ", INT64_MIN},
        {"2000-02-30T00:00:00Z", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++)
        assert_int_equal(clock_parse_any(any[i].text, strlen(any[i].text)), any[i].moment);
}

static void ids_rise(void **state)
{
    (void)state;
    char last[ID_TEXT] = "", id[ID_TEXT];
    for (int i = 0; i < 20000; i++) {
        id_new(id);
        assert_true(id_valid(id, strlen(id)));
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_true(strcmp(last, id) < 0);
        memcpy(last, id, sizeof last);
    }
    assert_false(id_valid("01A2071b-f843-7645-a001-b20b639515c1", 36));
    assert_false(id_valid("01a2071b-f843-7645-a001-b20b639515c", 35));
    assert_false(id_valid("01a2071bxf843-7645-a001-b20b639515c1", 36));
}

/* RFC 6234, section 8.5, test 1. */
static void hashes_are_the_standard_ones(void **state)
{
    (void)state;
    struct sha256 hash;
    unsigned char out[SHA256_SIZE], expected[SHA256_SIZE];
    sha256_start(&hash);
    sha256_add(&hash, "a", 1);
    sha256_add(&hash, "bc", 2);
    sha256_end(&hash, out);
    assert_true(hex_decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 64, expected, 32));
    assert_memory_equal(out, expected, 32);
}

static void encodings_refuse_what_is_not_theirs(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    unsigned char out[4];
    assert_true(hex_decode("00ff10ab", 8, out, 4));
    assert_false(hex_decode("00ff10a", 7, out, 4));
    assert_false(hex_decode("00ff10ag", 8, out, 4));
    struct str text = base64url_encode(arena, "\xfb\xff\xfe", 3);
    assert_true(str_is(text, "-__-"));
    struct str back = base64url_decode(arena, text.data, text.len);
    assert_int_equal(back.len, 3);
    assert_memory_equal(back.data, "\xfb\xff\xfe", 3);
    assert_null(base64url_decode(arena, "a+b=", 4).data);
    assert_null(base64url_decode(arena, "a b", 3).data);
    arena_free(&arena);
}

static void a_gate_bounds_who_is_in_and_who_waits(void **state)
{
    (void)state;
    enum { PATIENCE_US = 20000 };
    struct gate *gate = gate_new(1, 0);
    assert_true(gate_enter(gate, PATIENCE_US));
    int64_t began = clock_steady();
    assert_false(gate_enter(gate, 60000000));
    assert_true(clock_steady() - began < 30000000);
    gate_set(gate, 1, 1);
    began = clock_steady();
    assert_false(gate_enter(gate, PATIENCE_US));
    assert_true(clock_steady() - began >= PATIENCE_US);
    gate_set(gate, 2, 0);
    assert_true(gate_enter(gate, PATIENCE_US));
    /* Who came in when there were more places leaves all the same. */
    gate_set(gate, 1, 0);
    gate_leave(gate);
    gate_leave(gate);
    assert_true(gate_enter(gate, PATIENCE_US));
    assert_false(gate_enter(gate, PATIENCE_US));
    gate_free(&gate);
    assert_true(gate_enter(gate, 0));
}

static void passwords_match_their_hash_only(void **state)
{
    (void)state;
    static const char *const DAMAGED[] = {"", "x", "$argon2id$v=19$m=8,t=1,p=1$",
                                          "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"};
    char hash[PASSWORD_HASH_SIZE];
    struct err err;
    assert_int_equal(password_hash("correct horse", 13, 1, 8192, hash, &err), 0);
    assert_non_null(strstr(hash, "$argon2id$"));
    assert_int_equal(password_check("correct horse", 13, hash, 1, 8192, &err), 1);
    assert_int_equal(password_check("correct horsf", 13, hash, 1, 8192, &err), 0);
    for (size_t i = 0; i < sizeof DAMAGED / sizeof DAMAGED[0]; i++)
        assert_int_equal(password_check("correct horse", 13, DAMAGED[i], 1, 8192, &err), 0);
    assert_false(password_outdated(hash, 1, 8192));
    unsigned char data[SHA256_SIZE] = "one", salt[SHA256_SIZE] = "salt", first[SHA256_SIZE], other[SHA256_SIZE];
    assert_int_equal(password_digest(data, salt, 1, 8192, first, &err), 0);
    assert_int_equal(password_digest(data, salt, 1, 8192, other, &err), 0);
    assert_memory_equal(first, other, SHA256_SIZE);
    salt[0] = 'S';
    assert_int_equal(password_digest(data, salt, 1, 8192, other, &err), 0);
    assert_memory_not_equal(first, other, SHA256_SIZE);
    assert_true(password_outdated(hash, 2, 8192));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_keeps_its_limit),
        cmocka_unit_test(buf_records_its_failure),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(times_go_there_and_back),
        cmocka_unit_test(ids_rise),
        cmocka_unit_test(hashes_are_the_standard_ones),
        cmocka_unit_test(encodings_refuse_what_is_not_theirs),
        cmocka_unit_test(a_gate_bounds_who_is_in_and_who_waits),
        cmocka_unit_test(passwords_match_their_hash_only),
    };
    struct err err;
    if (crypt_init(&err) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
