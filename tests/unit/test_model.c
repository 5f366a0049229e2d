/* events: states, rows and older forms of events, with a small model of its own. */
#include "tests/unit/unit.h"

#include "base/json.h"
#include "events/model.h"
#include "events/schema.h"
#include "events/states.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

struct thing {
    const char *id;
    struct str name;
    int64_t version, at;
};

static const struct column COLUMNS[] = {{"id", COLUMN_TEXT, offsetof(struct thing, id), false},
                                        {"name", COLUMN_STR, offsetof(struct thing, name), false},
                                        {"version", COLUMN_NUMBER, offsetof(struct thing, version), false},
                                        {"at", COLUMN_MOMENT, offsetof(struct thing, at), false}};

static bool imported_shows(const struct envelope *event)
{
    return str_is(json_member(event->data, "name"), "\"shown\"");
}

static const struct read_model THINGS = {.name = "things",
                                         .category = "thing",
                                         .imported = "thing.imported",
                                         .imported_shows = imported_shows,
                                         .columns = COLUMNS,
                                         .column_count = 4,
                                         .state_size = sizeof(struct thing)};

static int named(void *state, const struct envelope *event, struct arena *arena, struct err *err)
{
    struct thing *thing = state;
    thing->id = arena_copy_z(arena, event->stream + 6);
    thing->name = json_text(arena, json_member(event->data, "name"));
    return thing->name.data != NULL ? 0 : fail(err, ERR_INTERNAL, "no name");
}

/* {"n"} → {"label"} → {"name"} */
static int to_2(const struct envelope *event, struct arena *arena, struct str *data, struct err *err)
{
    struct str n = json_member(event->data, "n");
    (void)err;
    *data = str_of(arena_printf(arena, "{\"label\":%.*s}", (int)n.len, n.data));
    return 0;
}

static int to_3(const struct envelope *event, struct arena *arena, struct str *data, struct err *err)
{
    struct str label = json_member(event->data, "label");
    (void)err;
    assert_int_equal(event->schema, 2);
    *data = str_of(arena_printf(arena, "{\"name\":%.*s}", (int)label.len, label.data));
    return 0;
}

static const upcaster UP[] = {to_2, to_3};
static const struct event_type EVENTS[] = {{"thing.named", &THINGS, named, 3, UP, EVENT_CONTENT, true},
                                           {"thing.imported", &THINGS, named, 1, NULL, EVENT_CONTENT, true}};
static const struct read_model *const MODELS[] = {&THINGS};
static const struct model MODEL = {.events = EVENTS, .event_count = 2, .read_models = MODELS, .read_model_count = 1};

static struct envelope event_of(const char *type, int64_t version, int schema, const char *data)
{
    return (struct envelope){.position = version,
                             .stream = "thing-7",
                             .type = type,
                             .version = version,
                             .schema = schema,
                             .data = str_of(data),
                             .metadata = STR("{}")};
}

static void every_older_form_becomes_todays(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    struct err err;
    const char *const forms[] = {"{\"n\":\"é \\\" x\"}", "{\"label\":\"é \\\" x\"}", "{\"name\":\"é \\\" x\"}"};
    for (int schema = 1; schema <= 3; schema++) {
        struct envelope event = event_of("thing.named", 1, schema, forms[schema - 1]);
        assert_int_equal(model_upcast(&MODEL, &event, arena, &err), 0);
        assert_true(str_is(event.data, forms[2]));
        assert_int_equal(event.schema, 3);
    }
    for (int schema = -1; schema <= 4; schema += schema == 0 ? 4 : 1) {
        struct envelope event = event_of("thing.named", 1, schema, forms[2]);
        assert_int_equal(model_upcast(&MODEL, &event, arena, &err), -1);
    }
    arena_free(&arena);
}

static void the_schema_stands_in_the_metadata(void **state)
{
    (void)state;
    assert_int_equal(event_schema(STR("{}")), 1);
    assert_int_equal(event_schema(STR("{\"schema\":2,\"user_id\":\"u\"}")), 2);
    assert_int_equal(event_schema(STR("{\"user_id\":\"u\",\"schema\":17}")), 17);
    assert_int_equal(event_schema(STR("{\"schema\":\"2\"}")), 0);
    assert_int_equal(event_schema(STR("{\"schema\":-2}")), 0);
    assert_int_equal(event_schema(STR("{\"schema\":99999999999}")), 0);
}

static void versions_follow_each_other(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    struct err err;
    struct thing thing = {0};
    struct envelope first = event_of("thing.named", 1, 1, "{\"n\":\"a\"}"),
                    third = event_of("thing.named", 3, 3, "{\"name\":\"c\"}"),
                    imported = event_of("thing.imported", 5, 1, "{\"name\":\"e\"}"),
                    sixth = event_of("thing.named", 6, 2, "{\"label\":\"f\"}");
    assert_int_equal(model_fold(&MODEL, &thing, &third, arena, &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
    assert_int_equal(model_fold(&MODEL, &thing, &first, arena, &err), 0);
    assert_int_equal(model_fold(&MODEL, &thing, &first, arena, &err), -1);
    assert_int_equal(model_fold(&MODEL, &thing, &third, arena, &err), -1);
    assert_int_equal(model_fold(&MODEL, &thing, &imported, arena, &err), 0);
    assert_int_equal(model_fold(&MODEL, &thing, &imported, arena, &err), -1);
    assert_int_equal(model_fold(&MODEL, &thing, &sixth, arena, &err), 0);
    assert_true(str_is(thing.name, "f"));
    assert_int_equal(thing.version, 6);
    first.stream = "other-7";
    assert_int_equal(model_fold(&MODEL, &thing, &first, arena, &err), -1);
    arena_free(&arena);
}

static void effects_are_those_of_the_type_and_of_what_was_imported(void **state)
{
    (void)state;
    const struct envelope named = event_of("thing.named", 1, 3, "{\"name\":\"shown\"}"),
                          shown = event_of("thing.imported", 1, 1, "{\"name\":\"shown\"}"),
                          hidden = event_of("thing.imported", 1, 1, "{\"name\":\"hidden\"}"),
                          unknown = event_of("thing.of_tomorrow", 1, 1, "{}");
    assert_int_equal(model_effect(&MODEL, &named), EVENT_CONTENT);
    assert_int_equal(model_effect(&MODEL, &shown), EVENT_CONTENT | EVENT_SHOWS);
    assert_int_equal(model_effect(&MODEL, &hidden), EVENT_CONTENT | EVENT_WITHDRAWS);
    assert_int_equal(model_effect(&MODEL, &unknown), EVENT_CONTENT);
}

static void packed_states_are_the_same_and_their_own(void **state)
{
    (void)state;
    char id[] = "7", name[] = "a\0b";
    struct thing thing = {.id = id, .name = {name, 3}, .version = 2, .at = INT64_MIN};
    struct thing *copy = malloc(state_bytes(&THINGS, &thing));
    state_pack(&THINGS, &thing, copy);
    assert_null(state_difference(&THINGS, &thing, copy));
    name[2] = 'c';
    assert_string_equal(state_difference(&THINGS, &thing, copy)->name, "name");
    name[2] = 'b';
    thing.at = 0;
    assert_string_equal(state_difference(&THINGS, &thing, copy)->name, "at");
    thing.at = INT64_MIN;
    copy->name = (struct str){NULL, 0};
    assert_string_equal(state_difference(&THINGS, &thing, copy)->name, "name");
    free(copy);
}

static void kept_states_have_a_bound(void **state)
{
    (void)state;
    struct err err;
    char stream[32], id[16];
    struct states *states = states_new(20000);
    size_t kept = 0;
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "%d", i);
        snprintf(stream, sizeof stream, "thing-%d", i);
        struct thing thing = {.id = id, .name = STR("name"), .version = i};
        assert_int_equal(states_keep(states, &THINGS, stream, &thing, &err), 0);
        assert_int_equal(((const struct thing *)states_find(states, stream))->version, i);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(stream, sizeof stream, "thing-%d", i);
        kept += states_find(states, stream) != NULL;
    }
    assert_true(kept > 0 && kept < 300);
    states_drop(states, "thing-4999");
    assert_null(states_find(states, "thing-4999"));
    states_free(&states);
}

static void texts_are_unescaped(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    struct str text = json_text(arena, STR("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00 é\""));
    assert_true(str_is(text, "a\"\\/\b\f\n\r\té€😀 é"));
    assert_true(str_is(json_text(arena, STR("\"\"")), ""));
    assert_null(json_text(arena, STR("12")).data);
    assert_null(json_text(arena, (struct str){NULL, 0}).data);
    assert_int_equal(json_whole(STR("120")), 120);
    assert_int_equal(json_whole(STR("-1")), -1);
    assert_int_equal(json_whole(STR("1.5")), -1);
    assert_int_equal(json_whole(STR("0")), 0);
    assert_int_equal(json_whole(STR("02")), -1);
    assert_int_equal(json_whole(STR("00")), -1);
    assert_int_equal(json_whole(STR("1234567890123456789")), -1);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_older_form_becomes_todays),
        cmocka_unit_test(the_schema_stands_in_the_metadata),
        cmocka_unit_test(versions_follow_each_other),
        cmocka_unit_test(packed_states_are_the_same_and_their_own),
        cmocka_unit_test(kept_states_have_a_bound),
        cmocka_unit_test(texts_are_unescaped),
        cmocka_unit_test(effects_are_those_of_the_type_and_of_what_was_imported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
