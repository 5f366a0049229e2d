/* notifier: records, the ring, what is withdrawn, topics and places. */
#include "tests/unit/unit.h"

#include "notifier/hub.h"
#include "notifier/places.h"
#include "notifier/server.h"
#include "notifier/topics.h"
#include "notifier/withdrawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ALL = INT32_MAX };

static struct arena *arena;

static struct record *make(int64_t position, const char *type, const char *stream, const char *audience,
                           unsigned effect)
{
    const struct envelope event = {.position = position,
                                   .stream = stream,
                                   .version = 1,
                                   .type = type,
                                   .audience = audience,
                                   .data = STR("{\"a\":1}"),
                                   .metadata = STR("{\"user_id\":\"someone\",\"source\":\"http\"}")};
    struct record *record = record_new(arena, &event, effect);
    assert_non_null(record);
    arena_reset(arena);
    return record;
}

static void a_record_has_two_forms(void **state)
{
    (void)state;
    struct record *record = make(7, "article.created", "article-1", "user:someone public", EVENT_CONTENT);
    char whole[1024];
    snprintf(whole, sizeof whole, "%.*s%s", (int)record->shared, record->text.data, record->rest.data);
    assert_non_null(strstr(record->text.data, "id: 7\nevent: article.created\ndata: {\"id\""));
    assert_non_null(strstr(record->text.data, "\"metadata\":{}}\n\n"));
    assert_non_null(strstr(whole, "\"metadata\":{\"user_id\":\"someone\",\"source\":\"http\"}}\n\n"));
    assert_int_equal(strlen(whole), record->shared + record->rest.len);
    assert_int_equal(strlen(record->text.data), record->text.len);
    assert_true(record->public && record->content);
    assert_string_equal(record->acting_user, "someone");
    record_drop(&record);
    assert_null(record);
    record_drop(&record);
}

static void a_ring_keeps_the_newest(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct hub *hub = hub_new(10, ALL);
    assert_int_equal(hub_first(hub), 11);
    assert_int_equal(hub_last(hub), 10);
    for (int i = 0; i < COUNT; i++)
        assert_true(hub_add(hub, make(11 + i, "thing.done", "thing-1", "public", 0)));
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(hub_at(hub, 11 + i)->position, 11 + i);
    struct record *held = record_keep(hub_at(hub, 11));
    hub_limit(hub, 10 * hub_at(hub, hub_last(hub))->size);
    assert_int_equal(hub_last(hub), COUNT + 10);
    assert_int_equal(hub_first(hub), COUNT + 1);
    assert_int_equal(held->position, 11);
    hub_limit(hub, 1);
    assert_int_equal(hub_first(hub), hub_last(hub));
    hub_free(&hub);
    record_drop(&held);
}

/* A model whose only answer is a list of streams. */
static const char *const *listed;

static int list(struct sql *db, struct arena *scratch, bool (*add)(void *, const char *), void *context,
                struct err *err)
{
    (void)db;
    (void)scratch;
    (void)err;
    for (const char *const *at = listed; *at != NULL; at++)
        assert_true(add(context, *at));
    return 0;
}

static void content_is_withdrawn_and_shown_again(void **state)
{
    (void)state;
    static const char *const STREAMS[] = {"thing-1", "thing-2", "thing-1", NULL};
    const struct model model = {.withdrawn = list};
    struct withdrawn *withdrawn = withdrawn_new();
    struct err err;
    struct record *one = make(1, "thing.told", "thing-1", "public", EVENT_CONTENT);
    struct record *two = make(2, "thing.told", "thing-2", "public", EVENT_CONTENT);
    struct record *other = make(3, "thing.noted", "thing-1", "public", 0);
    struct record *shown = make(4, "thing.shown", "thing-1", "public", EVENT_SHOWS);
    struct record *gone = make(5, "thing.gone", "thing-1", "public", EVENT_WITHDRAWS);
    assert_false(withdrawn_hides(withdrawn, one));
    assert_true(withdrawn_note(withdrawn, gone));
    assert_true(withdrawn_hides(withdrawn, one) && withdrawn_hides(withdrawn, one));
    assert_false(withdrawn_hides(withdrawn, other) || withdrawn_hides(withdrawn, two));
    assert_true(withdrawn_note(withdrawn, gone) && withdrawn_note(withdrawn, shown));
    assert_false(withdrawn_hides(withdrawn, one));
    assert_int_equal(withdrawn_count(withdrawn), 0);
    listed = STREAMS;
    assert_int_equal(withdrawn_load(withdrawn, NULL, arena, &model, &err), 0);
    assert_int_equal(withdrawn_count(withdrawn), 2);
    assert_true(withdrawn_hides(withdrawn, one) && withdrawn_hides(withdrawn, two));
    listed = STREAMS + 3;
    assert_int_equal(withdrawn_load(withdrawn, NULL, arena, &model, &err), 0);
    assert_false(withdrawn_hides(withdrawn, one) || withdrawn_hides(withdrawn, two));
    withdrawn_free(&withdrawn);
    struct record *all[] = {one, two, other, shown, gone};
    for (size_t i = 0; i < 5; i++)
        record_drop(&all[i]);
}

/* Thousands come and go, by chance: the set knows what a plain list knows. */
static void a_set_of_many(void **state)
{
    (void)state;
    enum { COUNT = 3000, STEPS = 30000 };
    static bool is[COUNT];
    struct withdrawn *withdrawn = withdrawn_new();
    size_t count = 0;
    uint32_t chance = 1;
    for (int step = 0; step < STEPS; step++) {
        char stream[32];
        chance = chance * 1664525 + 1013904223;
        int which = (int)((chance >> 8) % COUNT);
        bool becomes = chance >> 29 < (step < STEPS / 2 ? 5 : 2);
        snprintf(stream, sizeof stream, "thing-%d", which);
        struct record *record = make(1, "thing.done", stream, "public", becomes ? EVENT_WITHDRAWS : EVENT_SHOWS);
        assert_true(withdrawn_note(withdrawn, record));
        count += (size_t)becomes - (size_t)is[which];
        is[which] = becomes;
        record_drop(&record);
    }
    assert_int_equal(withdrawn_count(withdrawn), count);
    for (int i = 0; i < COUNT; i++) {
        char stream[32];
        snprintf(stream, sizeof stream, "thing-%d", i);
        struct record *record = make(1, "thing.told", stream, "public", EVENT_CONTENT);
        assert_int_equal(withdrawn_hides(withdrawn, record), is[i]);
        record_drop(&record);
    }
    withdrawn_free(&withdrawn);
}

#define ID "01a2071b-f843-7645-a001-b20b639515c1"

static bool has(const char *text, const struct record *record)
{
    struct topic topic;
    assert_true(topic_read(text, &topic));
    return topics_have(&topic, 1, record);
}

static void topics_are_read_and_matched(void **state)
{
    (void)state;
    struct topic topic;
    static const char *const NONE[] = {"",          "article", "articles:",      "articles:" ID,
                                       "article:x", "user:",   "author:" ID "0", "All",
                                       "all ",      "link",    "user-" ID,       "article:" ID ":"};
    for (size_t i = 0; i < sizeof NONE / sizeof NONE[0]; i++)
        assert_false(topic_read(NONE[i], &topic));
    struct record *article = make(1, "article.updated", "article-" ID, "public user:" ID, EVENT_CONTENT);
    struct record *user = make(2, "user.updated", "user-" ID, "user:" ID, 0);
    assert_true(has("articles", article) && has("article:" ID, article) && has("author:" ID, article));
    assert_true(has("all", article) && has("all", user) && has("user:" ID, user));
    assert_false(has("links", article) || has("user:" ID, article) || has("canary", article));
    assert_false(has("articles", user) || has("article:" ID, user) || has("author:" ID, user));
    assert_true(topics_have(TOPICS_STANDARD, 1, article));
    assert_false(topics_have(TOPICS_STANDARD, 1, user));
    record_drop(&article);
    record_drop(&user);
}

static bool may(const char *text, const struct actor *reader)
{
    struct topic topic;
    assert_true(topic_read(text, &topic));
    return topic_needs(&topic, reader) == NULL;
}

static void topics_are_for_whom_they_are(void **state)
{
    (void)state;
    const struct actor self = {.user_id = ID, .permissions = ""}, other = {.user_id = "x", .permissions = ""};
    const struct actor admin = {.user_id = "y", .permissions = "user_admin"};
    const struct actor audit = {.user_id = "z", .permissions = "article_edit_any audit_read"};
    assert_true(may("articles", &ANONYMOUS) && may("article:" ID, &ANONYMOUS) && may("author:" ID, &ANONYMOUS));
    assert_false(may("links", &ANONYMOUS) || may("user:" ID, &ANONYMOUS) || may("all", &ANONYMOUS));
    assert_true(may("links", &other) && may("user:" ID, &self) && may("user:" ID, &admin) && may("all", &audit));
    assert_false(may("user:" ID, &other) || may("user:" ID, &audit) || may("all", &admin) || may("all", &self));
}

static struct address from(const char *text)
{
    struct address address;
    assert_true(address_parse(text, strlen(text), &address));
    return address;
}

static void places_are_counted(void **state)
{
    (void)state;
    const struct conf conf = {.notifier_clients = 5, .notifier_clients_user = 2, .notifier_clients_address = 3};
    const struct address a = from("192.0.2.1"), b = from("192.0.2.2"), c = from("2001:db8::1"), d = from("2001:db8::2");
    struct places *places = places_new();
    assert_int_equal(places_take(places, &conf, "ann", &a), PLACE_FREE);
    assert_int_equal(places_take(places, &conf, "ann", &b), PLACE_FREE);
    assert_int_equal(places_take(places, &conf, "ann", &b), PLACE_NONE_OF_USER);
    assert_int_equal(places_take(places, &conf, NULL, &b), PLACE_FREE);
    assert_int_equal(places_take(places, &conf, NULL, &b), PLACE_FREE);
    assert_int_equal(places_take(places, &conf, "bob", &b), PLACE_NONE_OF_ADDRESS);
    assert_int_equal(places_take(places, &conf, "bob", &a), PLACE_FREE);
    assert_int_equal(places_take(places, &conf, NULL, &a), PLACE_NONE);
    assert_int_equal(places_taken(places), 5);
    places_give_back(places, "ann", &b);
    places_give_back(places, NULL, &b);
    places_give_back(places, NULL, &b);
    places_give_back(places, "ann", &a);
    places_give_back(places, "bob", &a);
    assert_int_equal(places_taken(places), 0);
    /* One network of IPv6 is one client. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(places_take(places, &conf, NULL, i % 2 == 0 ? &c : &d), PLACE_FREE);
    assert_int_equal(places_take(places, &conf, NULL, &d), PLACE_NONE_OF_ADDRESS);
    places_free(&places);
}

/* What was found of who it is no longer holds when, before its stream begins, the session is over. */
static void a_session_ends_while_its_client_waits(void **state)
{
    (void)state;
    struct settings settings = {.conf = {.notifier_memory = ALL, .notifier_client_buffer = ALL}};
    struct server server = {0};
    struct records records = {0};
    struct err err;
    struct loop *loop;
    struct actor reader = {.user_id = ID, .session_id = "one", .permissions = "", .expires = INT64_MAX};
    int pairs[2][2];
    atomic_init(&server.settings, &settings);
    assert_int_equal(loop_new(&loop, &server, &err), 0);
    server.places = places_new();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pairs[i]), 0);
        assert_true(stream_new(loop, pairs[i][0], &(struct address){0}, false));
        loop->streams->asking = true;
        loop->streams->identity = identity_new(&reader);
        loop->streams->identity->outcome = IDENTITY_FOUND;
        reader.session_id = "two";
    }
    const struct envelope event = {.position = 8,
                                   .stream = "user-" ID,
                                   .version = 2,
                                   .type = "user.logged_out",
                                   .audience = "user:" ID,
                                   .data = STR("{\"session_id\":\"one\"}"),
                                   .metadata = STR("{}")};
    struct record *record = record_new(arena, &event, 0);
    assert_non_null(record);
    assert_true(records_add(&records, record));
    loop_begin(loop, 7);
    loop_bring(loop, &records);
    assert_int_equal(event_base_loop(loop->base, EVLOOP_ONCE), 0);
    assert_int_equal(hub_last(loop->hub), 8);
    assert_int_equal(loop->streams->identity->outcome, IDENTITY_FOUND);
    assert_int_equal(loop->streams->next->identity->outcome, IDENTITY_UNKNOWN);
    records_free(&records);
    loop_clear(loop);
    loop_free(&loop);
    places_free(&server.places);
    for (int i = 0; i < 2; i++)
        close(pairs[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_has_two_forms),
        cmocka_unit_test(a_ring_keeps_the_newest),
        cmocka_unit_test(content_is_withdrawn_and_shown_again),
        cmocka_unit_test(a_set_of_many),
        cmocka_unit_test(topics_are_read_and_matched),
        cmocka_unit_test(topics_are_for_whom_they_are),
        cmocka_unit_test(places_are_counted),
        cmocka_unit_test(a_session_ends_while_its_client_waits),
    };
    arena = arena_new(1 << 20);
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return status;
}
