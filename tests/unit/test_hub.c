/* notifier: the ring, and what it knows of the streams whose records are in it. */
#include "tests/unit/unit.h"

#include "notifier/hub.h"

#include <stdio.h>
#include <stdlib.h>

enum { ALL = INT32_MAX };

static struct arena *arena;

/* Takes a reference for the test, so that the record outlives its time in the ring. */
static struct record *add(struct hub *hub, const char *stream, unsigned effect)
{
    const struct envelope event = {.position = hub_last(hub) + 1,
                                   .stream = stream,
                                   .version = 1,
                                   .type = "thing.done",
                                   .audience = "public",
                                   .data = STR("{}"),
                                   .metadata = STR("{}")};
    struct record *record = record_new(arena, &event, effect);
    assert_non_null(record);
    assert_true(hub_add(hub, record_keep(record)));
    arena_reset(arena);
    return record;
}

static void drop_all(struct record **records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        record_drop(&records[i]);
}

static void content_is_withdrawn_and_shown_again(void **state)
{
    (void)state;
    struct hub *hub = hub_new(0, ALL);
    struct record *r[8] = {add(hub, "thing-1", EVENT_CONTENT), add(hub, "thing-2", EVENT_CONTENT),
                           add(hub, "thing-1", EVENT_SHOWS), add(hub, "other-1", 0)};
    assert_null(r[3]->subject);
    for (int i = 0; i < 4; i++)
        assert_false(record_withdrawn(r[i]));
    r[4] = add(hub, "thing-1", EVENT_WITHDRAWS);
    r[5] = add(hub, "thing-1", EVENT_CONTENT);
    const bool withdrawn[6] = {true, false, false, false, false, true};
    for (int i = 0; i < 6; i++)
        assert_int_equal(record_withdrawn(r[i]), withdrawn[i]);
    r[6] = add(hub, "thing-1", EVENT_SHOWS);
    for (int i = 0; i < 7; i++)
        assert_false(record_withdrawn(r[i]));
    r[7] = add(hub, "thing-2", EVENT_CONTENT | EVENT_WITHDRAWS);
    assert_true(record_withdrawn(r[1]) && record_withdrawn(r[7]));
    assert_false(record_withdrawn(r[0]));
    hub_free(&hub);
    /* A client may hold them still. */
    assert_true(record_withdrawn(r[1]));
    drop_all(r, 8);
}

static void a_subject_goes_with_its_last_record(void **state)
{
    (void)state;
    struct record *first[2], *more[40];
    struct hub *hub = hub_new(0, 4096);
    first[0] = add(hub, "thing-1", EVENT_CONTENT);
    first[1] = add(hub, "thing-1", EVENT_WITHDRAWS);
    for (size_t i = 0; i < 40; i++)
        more[i] = add(hub, "thing-2", EVENT_CONTENT);
    assert_true(hub_first(hub) > 2);
    assert_null(first[0]->subject);
    assert_true(record_withdrawn(first[0]));
    assert_null(more[0]->subject);
    assert_int_equal(more[39]->subject->references, (size_t)(hub_last(hub) - hub_first(hub) + 1));
    struct record *again = add(hub, "thing-1", EVENT_CONTENT);
    assert_false(record_withdrawn(again));
    assert_int_equal(again->subject->references, 1);
    hub_free(&hub);
    drop_all(first, 2);
    drop_all(more, 40);
    drop_all(&again, 1);
}

/* Past its first room, so that ring and table are widened. */
static void many_streams(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct record **records = calloc(COUNT, sizeof(struct record *));
    struct hub *hub = hub_new(0, ALL);
    char stream[32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(stream, sizeof stream, "thing-%d", i);
        records[i] = add(hub, stream, EVENT_CONTENT);
    }
    for (int i = 0; i < COUNT; i += 3) {
        snprintf(stream, sizeof stream, "thing-%d", i);
        struct record *record = add(hub, stream, EVENT_WITHDRAWS);
        assert_ptr_equal(record->subject, records[i]->subject);
        assert_int_equal(record->subject->references, 2);
        record_drop(&record);
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(record_withdrawn(records[i]), i % 3 == 0);
    hub_free(&hub);
    drop_all(records, COUNT);
    free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_withdrawn_and_shown_again),
        cmocka_unit_test(a_subject_goes_with_its_last_record),
        cmocka_unit_test(many_streams),
    };
    arena = arena_new(1 << 20);
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return status;
}
