/* events: the envelope, who may see it, and the form of a payload. */
#include "tests/unit/unit.h"

#include "base/clock.h"
#include "events/actor.h"
#include "events/event.h"
#include "events/schema.h"

#include <string.h>

static struct envelope sample(void)
{
    struct envelope event = {.position = 7,
                             .id = "01a2071b-f843-7646-ac35-0f7bf2977eea",
                             .stream = "article-01a2071b-f843-7645-a001-b20b639515c1",
                             .version = 2,
                             .type = "article.created",
                             .audience = "public",
                             .data = STR("{\"title\":\"é \\\" 😀\"}"),
                             .metadata = STR("{\"user_id\":\"u\"}"),
                             .recorded_at = 1769860800000001};
    event_digest(&event, event.digest);
    return event;
}

static void digest_covers_every_member(void **state)
{
    (void)state;
    const struct envelope event = sample();
    struct envelope changed[8];
    for (int i = 0; i < 8; i++)
        changed[i] = event;
    changed[0].id[0] = '1';
    changed[1].stream = "article-02";
    changed[2].version = 3;
    changed[3].type = "article.createe";
    changed[4].audience = "publik";
    changed[5].data = STR("{}");
    changed[6].metadata = STR("{}");
    changed[7].recorded_at++;
    for (int i = 0; i < 8; i++) {
        event_digest(&changed[i], changed[i].digest);
        assert_memory_not_equal(changed[i].digest, event.digest, SHA256_SIZE);
    }
    /* What moves from one member to the next is another content. */
    struct envelope a = event, b = event;
    a.type = "ab";
    a.audience = "c";
    b.type = "a";
    b.audience = "bc";
    event_digest(&a, a.digest);
    event_digest(&b, b.digest);
    assert_memory_not_equal(a.digest, b.digest, SHA256_SIZE);
}

/* Computed once by hand with sha256sum over «<bytes>:<content>,…», so that the form never changes unnoticed. */
static void digest_is_the_documented_one(void **state)
{
    (void)state;
    struct envelope event = {.id = "01a2071b-f843-7646-ac35-0f7bf2977eea",
                             .stream = "s-1",
                             .version = 1,
                             .type = "t",
                             .audience = "public",
                             .data = STR("{}"),
                             .metadata = STR("{}"),
                             .recorded_at = 0};
    char hex[2 * SHA256_SIZE + 1];
    event_digest(&event, event.digest);
    hex_encode(event.digest, SHA256_SIZE, hex);
    assert_string_equal(hex, "e2cc718dd2dc1abf5d4deff52c1d623e6ba80595ff5d95a19ef519a76aa074df");
}

static void messages_come_back_the_same(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1000000);
    struct envelope event = sample(), back;
    struct err err;
    struct str text = event_message(arena, &event);
    assert_int_equal(event_from_message(arena, text.data, text.len, &back, &err), 0);
    assert_int_equal(back.position, event.position);
    assert_string_equal(back.id, event.id);
    assert_string_equal(back.audience, event.audience);
    assert_int_equal(back.recorded_at, event.recorded_at);
    assert_int_equal(back.data.len, event.data.len);
    assert_memory_equal(back.data.data, event.data.data, event.data.len);
    arena_free(&arena);
}

static void other_messages_are_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1000000);
    struct envelope event = sample(), back;
    struct err err;
    const char *const texts[] = {"", "{}", "[]", "hello", "{\"id\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(event_from_message(arena, texts[i], strlen(texts[i]), &back, &err), -1);
    struct str text = event_message(arena, &event);
    char *forged = arena_copy(arena, text.data, text.len), *at = strstr(forged, "title");
    at[0] = 'T';
    assert_int_equal(event_from_message(arena, forged, text.len, &back, &err), -1);
    assert_non_null(strstr(err.text, "digest"));
    arena_free(&arena);
}

static void audiences_admit_whom_they_name(void **state)
{
    (void)state;
    const struct actor ann = {.user_id = "ann", .permissions = ""};
    const struct actor editor = {.user_id = "ed", .permissions = "article_edit_any link_edit_any"};
    const struct actor auditor = {.user_id = "au", .permissions = "audit_read"};
    const char *draft = "user:ann permission:article_edit_any";
    assert_true(audience_admits("public", &ANONYMOUS, false));
    assert_false(audience_admits(draft, &ANONYMOUS, false));
    assert_true(audience_admits(draft, &ann, false));
    assert_true(audience_admits(draft, &editor, false));
    assert_true(audience_admits(draft, &auditor, false));
    assert_false(audience_admits("user:ann", &editor, false));
    assert_false(audience_admits("user:annabel", &ann, false));
    assert_false(audience_admits("permission:article_edit", &editor, false));
    assert_false(audience_admits("", &ann, false));
    const char *everybody = "public user:ann permission:article_edit_any";
    assert_true(audience_admits(everybody, &ANONYMOUS, false));
    assert_false(audience_admits(everybody, &ANONYMOUS, true));
    assert_true(audience_admits(everybody, &ann, true));
    assert_true(audience_admits(everybody, &editor, true));
    assert_true(audience_admits(everybody, &auditor, true));
    assert_false(audience_admits("public user:annabel", &ann, true));
    assert_false(audience_admits("public", &editor, true));
    assert_true(audience_admits("public", &auditor, true));
    assert_true(audience_public("public"));
    assert_true(audience_public(everybody));
    assert_false(audience_public(draft));
    assert_false(audience_public("user:public republic publics"));
    assert_true(actor_sees_metadata(&ann, "ann"));
    assert_false(actor_sees_metadata(&ann, "ed"));
    assert_true(actor_sees_metadata(&auditor, "ann"));
    assert_false(actor_sees_metadata(&ANONYMOUS, NULL));
}

static void all_faults_are_found_at_once(void **state)
{
    (void)state;
    const struct field fields[] = {{.name = "title", .type = FIELD_TEXT, .required = true, .least = 1, .most = 3},
                                   {.name = "flag", .type = FIELD_FLAG},
                                   {.name = "tags", .type = FIELD_TEXTS, .least = 1, .most = 2, .items = 2},
                                   {.name = "need", .type = FIELD_TEXT, .required = true, .most = 9}};
    const char text[] = "{\"title\":\"😀😀😀😀\",\"flag\":1,\"tags\":[\"\",3,\"x\"],\"a/b~\":0}";
    const char *const pointers[] = {"/title", "/flag", "/tags", "/tags/0", "/tags/1", "/need", "/a~1b~0"};
    struct arena *arena = arena_new(100000);
    struct faults faults = {0};
    struct err err;
    struct json_object *payload = json_read(text, sizeof text - 1, &err);
    assert_false(schema_check(fields, 4, NULL, payload, arena, &faults));
    assert_int_equal(faults.count, 7);
    for (size_t i = 0; i < faults.count; i++)
        assert_string_equal(faults.list[i].pointer, pointers[i]);
    json_object_put(payload);
    faults.count = 0;
    payload = json_read("{\"title\":\"a\\u0000\",\"need\":\"\"}", 30, &err);
    assert_false(schema_check(fields, 4, NULL, payload, arena, &faults));
    assert_int_equal(faults.count, 1);
    json_object_put(payload);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_covers_every_member),     cmocka_unit_test(digest_is_the_documented_one),
        cmocka_unit_test(messages_come_back_the_same),    cmocka_unit_test(other_messages_are_refused),
        cmocka_unit_test(audiences_admit_whom_they_name), cmocka_unit_test(all_faults_are_found_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
