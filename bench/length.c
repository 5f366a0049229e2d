/*
 * What a log's length costs for who reads: CONFIG SECONDS. On the log that is there: reads of articles picked evenly
 * from all of them, as GET does them, to the JSON; and reads of the last 100 events as a stream that comes back does
 * them, to the JSON. Prints a line each: the name, and how many per second. (Appends are bench/append.c's.)
 */
#include "base/clock.h"
#include "domain/article_query.h"
#include "events/eventlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_LIMIT = 64 * 1024 * 1024, SAMPLE = 500, LAST = 100 };

struct bench {
    struct conf conf;
    struct sql *db;
    struct arena *arena;
    struct known *known;
    int64_t head;
    char ids[SAMPLE][ID_TEXT];
    size_t count;
};

/* Articles evenly over the log. */
static int pick(struct bench *b, struct err *err)
{
    struct log_head head;
    struct event_list list;
    if (eventlog_head(b->db, b->arena, &head, err) != 0)
        return -1;
    b->head = head.position;
    for (int64_t i = 0; i < SAMPLE; i++) {
        arena_reset(b->arena);
        if (eventlog_read(b->db, b->arena, i * (b->head - 2) / SAMPLE, 1, &list, err) != 0)
            return -1;
        if (list.count == 1)
            snprintf(b->ids[b->count++], ID_TEXT, "%s", list.events[0].stream + strlen("article-"));
    }
    return b->count > 0 ? 0 : fail(err, ERR_ABSENT, "the log is empty");
}

static int get_one(struct bench *b, size_t n, struct err *err)
{
    static const struct actor editor = {.user_id = "editor", .permissions = "article_edit_any"};
    struct article_view view;
    const struct reading reading = {b->db, b->arena, &editor, b->known, NULL};
    struct buf buf;
    if (article_find(&reading, b->ids[n % b->count], 0, &view, err) != 0)
        return -1;
    buf_init(&buf, b->arena);
    article_json(&buf, view.summary, view.author, view.rest);
    return buf.len > 0 ? 0 : fail(err, ERR_INTERNAL, "no JSON");
}

static int replay_one(struct bench *b, size_t n, struct err *err)
{
    struct event_list list;
    (void)n;
    if (eventlog_read(b->db, b->arena, b->head - LAST, LAST, &list, err) != 0)
        return -1;
    for (size_t i = 0; i < list.count; i++)
        if (event_public_json(b->arena, &list.events[i], true).data == NULL)
            return fail(err, ERR_INTERNAL, "no JSON");
    return list.count == LAST ? 0 : fail(err, ERR_INTERNAL, "%zu events", list.count);
}

static int measure(struct bench *b, const char *name, int seconds,
                   int (*one)(struct bench *b, size_t n, struct err *err), struct err *err)
{
    /* Once over what is read, so that both lengths are measured from memory. */
    for (size_t i = 0; i < b->count; i++) {
        arena_reset(b->arena);
        if (one(b, i, err) != 0)
            return -1;
    }
    size_t n = 0;
    int64_t began = clock_steady(), until = began + (int64_t)seconds * 1000000;
    for (; clock_steady() < until; n++) {
        arena_reset(b->arena);
        if (one(b, n, err) != 0)
            return -1;
    }
    printf("%s %.0f\n", name, (double)n * 1e6 / (double)(clock_steady() - began));
    return 0;
}

int main(int argc, char **argv)
{
    struct bench b = {.arena = arena_new(ARENA_LIMIT), .known = known_new()};
    struct err err;
    if (argc != 3 || b.arena == NULL || crypt_init(&err) != 0 || conf_load(&b.conf, argv[1], "length", &err) != 0) {
        fprintf(stderr, "usage: length CONFIG SECONDS\n");
        return 2;
    }
    int seconds = atoi(argv[2]);
    int status = sql_open(&b.db, &b.conf, &err);
    if (status == 0)
        status = pick(&b, &err);
    if (status == 0)
        status = measure(&b, "get", seconds, get_one, &err);
    if (status == 0)
        status = measure(&b, "replay", seconds, replay_one, &err);
    if (status != 0)
        fprintf(stderr, "length: %s\n", err.text);
    sql_close(&b.db);
    known_free(&b.known);
    arena_free(&b.arena);
    return status != 0;
}
