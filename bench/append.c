/*
 * The yardstick for writing: CONFIG WRITERS SECONDS. Processes that do nothing but send the append of one article (its
 * row and its two events, with the head's lock and the hash chain) in one round trip, and commit. No HTTP, no command,
 * no bus. Prints appends per second.
 */
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

enum { ARENA_LIMIT = 4 * 1024 * 1024, CONTENT = 900 };

/* Words as of a language of some 4,000 of them, and lines. */
static void write_prose(char *text, size_t len)
{
    static const char *const syllables[] = {"ka", "lo", "ri",  "ten", "mu", "sa", "vor", "nei",
                                            "di", "pe", "gra", "shi", "el", "tu", "bo",  "ness"};
    size_t at = 0;
    while (at + 16 < len) {
        unsigned char r[4];
        crypt_random(r, sizeof r);
        at += (size_t)snprintf(text + at, len - at, "%s%s%s%s", syllables[r[0] & 15], syllables[r[1] & 15],
                               syllables[r[2] & 15], r[3] < 20 ? ".\n\n" : " ");
    }
    memset(text + at, '.', len - at);
    text[len] = '\0';
}

static void make_event(struct arena *arena, struct envelope *event, const char *article, int version)
{
    char content[CONTENT + 1];
    struct buf json;
    write_prose(content, CONTENT);
    buf_init(&json, arena);
    buf_json_z(&json, content);
    buf_add(&json, "", 1);
    const char *content_json = json.data != NULL ? json.data : "\"\"";
    id_new(event->id);
    event->stream = arena_printf(arena, "article-%s", article);
    event->version = version;
    event->type = version == 1 ? "article.created" : "article.revision_created";
    event->audience = "user:01a2071b-f843-7645-a001-b20b639515c1 permission:article_edit_any";
    event->data = str_of(
        version == 1
            ? arena_printf(arena,
                           "{\"id\":\"%s\",\"title\":\"Bench\",\"subtitle\":\"\",\"lead\":\"A lead\",\"content\":%s,"
                           "\"tags\":[\"a\"],\"author\":{\"id\":\"01a2071b-f843-7645-a001-b20b639515c1\"},"
                           "\"slug\":\"bench-%s\"}",
                           article, content_json, article)
            : arena_printf(arena, "{\"id\":\"%s\",\"revision\":1}", article));
    event->schema = version == 1 ? 2 : 1;
    event->metadata =
        str_of(arena_printf(arena,
                            "{\"schema\":%d,\"user_id\":\"01a2071b-f843-7645-a001-b20b639515c1\",\"session_id\":"
                            "\"01a2071b-f843-7645-a001-b20b639515c2\",\"source\":\"http\",\"trace_id\":"
                            "\"4bf92f3577b34da6a3ce929d0e0e4736\"}",
                            event->schema));
    event->recorded_at = clock_now();
    event_digest(event, event->digest);
}

static int append_one(struct sql *db, struct arena *arena, struct err *err)
{
    char article[ID_TEXT];
    struct envelope events[2] = {0};
    struct sql_rows rows;
    struct sql_batch *batch = sql_batch_new(arena);
    struct article none = {0}, row = {0};
    id_new(article);
    for (int i = 0; i < 2; i++) {
        make_event(arena, &events[i], article, i + 1);
        if (model_fold(&MODEL, &row, &events[i], arena, err) != 0)
            return -1;
    }
    if (state_derive(&ARTICLES, &row, NULL, arena, err) != 0)
        return -1;
    row_write(&ARTICLES, batch, &none, &row);
    eventlog_append(batch, events, 2, 0);
    return sql_batch_commit(db, batch, &rows, err);
}

static int work(const struct conf *conf, int64_t until, atomic_llong *count)
{
    struct err err;
    struct sql *db;
    struct arena *arena = arena_new(ARENA_LIMIT);
    int status = sql_open(&db, conf, &err);
    while (status == 0 && clock_steady() < until) {
        arena_reset(arena);
        status = append_one(db, arena, &err);
        if (status == 0)
            atomic_fetch_add(count, 1);
        else if (err.kind == ERR_TRANSIENT)
            status = 0;
    }
    if (status != 0)
        fprintf(stderr, "append: %s\n", err.text);
    sql_close(&db);
    arena_free(&arena);
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
