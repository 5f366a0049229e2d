/*
 * A log to measure with: EVENTS [SAVES]. Writes that many events, or up to two less, as `courantctl import` takes them:
 * articles of about 1 KB, each with one to three of twenty tags, every other one published; of five commands one is an
 * update of some earlier article. With SAVES each article is saved so often, most of them one after the other, as
 * people write: an update is of one of the latest 50.
 */
#include "bench/article.h"

#include "base/clock.h"
#include "events/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_LIMIT = 4 * 1024 * 1024, TAGS = 20, LATEST = 50 };

struct written {
    char id[ID_TEXT];
    int version, revision;
    bool public;
};

struct generator {
    struct arena *arena;
    struct written *articles;
    size_t count, saves;
    uint64_t random;
    int64_t position, moment;
    unsigned char hash[SHA256_SIZE];
};

#define AUTHOR "01a2071b-f843-7645-a001-b20b639515c1"
#define AUDIENCE "user:" AUTHOR " permission:article_edit_any"
#define METADATA "{%s\"user_id\":\"" AUTHOR "\",\"source\":\"bench\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}"

/* The same numbers each time. */
static size_t below(struct generator *g, size_t most)
{
    return bench_random(&g->random) % most;
}

static struct str content(struct generator *g, const struct written *article, bool is_new)
{
    char text[BENCH_CONTENT + 1];
    const char *tags = "";
    const char *rest =
        !is_new ? "" : arena_printf(g->arena, ",\"slug\":\"bench-%zu\",\"author\":{\"id\":\"" AUTHOR "\"}", g->count);
    bench_prose(&g->random, text);
    /* One in each third of them, so that none comes twice. */
    for (size_t i = 0, count = 1 + below(g, 3); i < count; i++)
        tags = arena_printf(g->arena, "%s%s\"tag %zu\"", tags != NULL ? tags : "", i > 0 ? "," : "",
                            i * TAGS / 3 + below(g, TAGS / 3));
    return str_of(arena_printf(g->arena,
                               "{\"id\":\"%s\",\"title\":\"Article %d of a bench\",\"subtitle\":\"\",\"lead\":\"A "
                               "lead\",\"content\":\"%s\",\"tags\":[%s]%s}",
                               article->id, article->version, text, tags != NULL ? tags : "",
                               rest != NULL ? rest : ""));
}

static bool write_event(struct generator *g, struct written *article, const char *type, struct str data)
{
    struct envelope event = {
        .position = ++g->position,
        .stream = arena_printf(g->arena, "article-%s", article->id),
        .version = ++article->version,
        .type = type,
        .audience = article->public ? "public " AUDIENCE : AUDIENCE,
        .data = data,
        .metadata = str_of(arena_printf(
            g->arena, METADATA,
            strcmp(type, "article.created") == 0 || strcmp(type, "article.published") == 0 ? "\"schema\":2," : "")),
        .recorded_at = g->moment++};
    id_new(event.id);
    event_digest(&event, event.digest);
    event_chain(g->hash, event.digest, event.hash);
    memcpy(g->hash, event.hash, SHA256_SIZE);
    struct str line = export_line(g->arena, &event);
    return line.data != NULL && fwrite(line.data, 1, line.len, stdout) == line.len && putchar('\n') != EOF;
}

static struct str published(struct generator *g, const struct written *article)
{
    char stamp[CLOCK_TEXT];
    clock_rfc3339(g->moment, stamp);
    return str_of(arena_printf(g->arena, "{\"id\":\"%s\",\"published_at\":\"%s\"}", article->id, stamp));
}

static bool write_command(struct generator *g, int number)
{
    bool is_new = g->count == 0 || (g->saves > 0 ? number % (int)g->saves == 0 : number % 5 != 4);
    size_t from = g->saves > 0 && g->count > LATEST ? g->count - LATEST : 0;
    struct written *article = &g->articles[is_new ? g->count : from + below(g, g->count - from)];
    if (is_new) {
        id_new(article->id);
        article->public = g->count++ % 2 == 0;
    }
    return write_event(g, article, is_new ? "article.created" : "article.updated", content(g, article, is_new)) &&
           write_event(
               g, article, "article.revision_created",
               str_of(arena_printf(g->arena, "{\"id\":\"%s\",\"revision\":%d}", article->id, ++article->revision))) &&
           (!is_new || !article->public || write_event(g, article, "article.published", published(g, article)));
}

int main(int argc, char **argv)
{
    struct err err;
    int64_t events = argc == 2 || argc == 3 ? atoll(argv[1]) : 0;
    struct generator g = {.arena = arena_new(ARENA_LIMIT),
                          .articles = calloc((size_t)(events > 0 ? events : 0) / 2 + 1, sizeof(struct written)),
                          .saves = argc == 3 ? (size_t)atoi(argv[2]) : 0,
                          .moment = clock_now()};
    if (events < 3 || g.arena == NULL || g.articles == NULL || crypt_init(&err) != 0) {
        fprintf(stderr, "usage: generate EVENTS [SAVES]\n");
        return 2;
    }
    bool ok = true;
    for (int i = 0; ok && g.position + 3 <= events; i++) {
        arena_reset(g.arena);
        ok = write_command(&g, i);
    }
    free(g.articles);
    arena_free(&g.arena);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
