/*
 * The yardstick for writing: CONFIG WRITERS SECONDS. Processes that do nothing but send the append of one published
 * article (its row, its tag, its text for the search and its three events, with the head's lock and the hash chain) in
 * one round trip, and commit. No HTTP, no command, no bus. Prints appends per second.
 */
#include "bench/article.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/article.h"
#include "domain/model.h"
#include "events/eventlog.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARENA_LIMIT = 4 * 1024 * 1024, EVENTS = 3 };

#define AUTHOR "01a2071b-f843-7645-a001-b20b639515c1"

struct writer {
    struct sql *db;
    struct arena *arena;
    uint64_t random;
    unsigned number;
};

static struct str created(struct writer *w, const char *article)
{
    char content[BENCH_CONTENT + 1];
    bench_prose(&w->random, content);
    w->number++;
    return str_of(
        arena_printf(w->arena,
                     "{\"id\":\"%s\",\"title\":\"Bench %d %u\",\"subtitle\":\"\",\"lead\":\"A lead\",\"content\":"
                     "\"%s\",\"tags\":[\"a\"],\"slug\":\"bench-%d-%u\",\"author\":{\"id\":\"" AUTHOR "\"}}",
                     article, (int)getpid(), w->number, content, (int)getpid(), w->number));
}

/* What create_article makes of an article that is to be public at once. */
static void make_event(struct writer *w, struct envelope *event, const char *article, int version, int64_t now)
{
    static const char *const types[EVENTS] = {"article.created", "article.revision_created", "article.published"};
    char stamp[CLOCK_TEXT];
    clock_rfc3339(now, stamp);
    id_new(event->id);
    event->stream = arena_printf(w->arena, "article-%s", article);
    event->version = version;
    event->type = types[version - 1];
    event->audience = "public user:" AUTHOR " permission:article_edit_any";
    event->data =
        version == 1
            ? created(w, article)
            : str_of(version == 2 ? arena_printf(w->arena, "{\"id\":\"%s\",\"revision\":1}", article)
                                  : arena_printf(w->arena, "{\"id\":\"%s\",\"published_at\":\"%s\"}", article, stamp));
    event->schema = version == 2 ? 1 : 2;
    event->metadata = str_of(arena_printf(w->arena,
                                          "{%s\"user_id\":\"" AUTHOR "\",\"session_id\":"
                                          "\"01a2071b-f843-7645-a001-b20b639515c2\",\"source\":\"http\",\"trace_id\":"
                                          "\"4bf92f3577b34da6a3ce929d0e0e4736\"}",
                                          event->schema == 2 ? "\"schema\":2," : ""));
    event->recorded_at = now;
    event_digest(event, event->digest);
}

static int append_one(struct writer *w, struct err *err)
{
    char article[ID_TEXT];
    struct envelope events[EVENTS] = {0};
    struct sql_rows rows;
    struct sql_batch *batch = sql_batch_new(w->arena);
    struct article none = {0}, row = {0};
    int64_t now = clock_now();
    id_new(article);
    for (int i = 0; i < EVENTS; i++) {
        make_event(w, &events[i], article, i + 1, now);
        if (model_fold(&MODEL, &row, &events[i], w->arena, err) != 0)
            return -1;
    }
    if (state_derive(&ARTICLES, &row, NULL, w->arena, err) != 0)
        return -1;
    row_write(&ARTICLES, batch, &none, &row);
    eventlog_append(batch, events, EVENTS, 0);
    return sql_batch_commit(w->db, batch, &rows, err);
}

static int work(const struct conf *conf, int64_t until, atomic_llong *count)
{
    struct err err;
    struct writer w = {.arena = arena_new(ARENA_LIMIT), .random = (uint64_t)getpid()};
    int status = sql_open(&w.db, conf, &err);
    while (status == 0 && clock_steady() < until) {
        arena_reset(w.arena);
        status = append_one(&w, &err);
        if (status == 0)
            atomic_fetch_add(count, 1);
        else if (err.kind == ERR_TRANSIENT)
            status = 0;
    }
    if (status != 0)
        fprintf(stderr, "append: %s\n", err.text);
    sql_close(&w.db);
    arena_free(&w.arena);
    return status != 0;
}

int main(int argc, char **argv)
{
    struct conf conf;
    struct err err;
    if (argc != 4 || crypt_init(&err) != 0 || conf_load(&conf, argv[1], "append", &err) != 0) {
        fprintf(stderr, "usage: append CONFIG WRITERS SECONDS\n");
        return 2;
    }
    int writers = atoi(argv[2]), seconds = atoi(argv[3]), bad = 0;
    atomic_llong *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (count == MAP_FAILED)
        return 1;
    int64_t until = clock_steady() + (int64_t)seconds * 1000000;
    for (int i = 0; i < writers; i++)
        if (fork() == 0)
            exit(work(&conf, until, count));
    for (int i = 0, status; i < writers; i++)
        bad += wait(&status) < 0 || status != 0;
    printf("%.0f\n", (double)atomic_load(count) / seconds);
    return bad != 0;
}
