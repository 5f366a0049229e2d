/*
 * A log to measure with: EVENTS. Writes that many events, or one less, as `courantctl import` takes them: articles of
 * about 1 KB, each created by two events; of five commands one is an update (two events) of some earlier article.
 */
#include "base/clock.h"
#include "events/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_LIMIT = 4 * 1024 * 1024, CONTENT = 900 };

struct written {
    char id[ID_TEXT];
    int version;
};

struct generator {
    struct arena *arena;
    struct written *articles;
    size_t count;
    uint64_t random;
    int64_t position, moment;
    unsigned char hash[SHA256_SIZE];
};

#define AUTHOR "01a2071b-f843-7645-a001-b20b639515c1"

static struct str content(struct generator *g, const struct written *article, bool is_new)
{
    char text[CONTENT + 1];
    memset(text, 'x', CONTENT);
    text[CONTENT] = '\0';
    return str_of(
        arena_printf(g->arena,
                     "{\"id\":\"%s\",\"title\":\"Article %d of a bench\",\"subtitle\":\"\",\"lead\":\"A lead\","
                     "\"content\":\"%s\",\"tags\":[\"a\",\"bench\"]%s}",
                     article->id, article->version, text, is_new ? ",\"author\":{\"id\":\"" AUTHOR "\"}" : ""));
}

static bool write_event(struct generator *g, struct written *article, const char *type, struct str data)
{
    struct envelope event = {.position = ++g->position,
                             .stream = arena_printf(g->arena, "article-%s", article->id),
                             .version = ++article->version,
                             .type = type,
                             .audience = "user:" AUTHOR " permission:article_edit_any",
                             .data = data,
                             .metadata = STR("{\"user_id\":\"" AUTHOR "\",\"source\":\"bench\","
                                             "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}"),
                             .recorded_at = g->moment++};
    id_new(event.id);
    event_digest(&event, event.digest);
    event_chain(g->hash, event.digest, event.hash);
    memcpy(g->hash, event.hash, SHA256_SIZE);
    struct str line = export_line(g->arena, &event);
    return line.data != NULL && fwrite(line.data, 1, line.len, stdout) == line.len && putchar('\n') != EOF;
}

/* The same numbers each time (Knuth's MMIX generator). */
static size_t below(struct generator *g, size_t most)
{
    g->random = g->random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(g->random >> 33) % most;
}

static bool write_pair(struct generator *g, int number)
{
    bool is_new = g->count == 0 || number % 5 != 4;
    struct written *article = &g->articles[is_new ? g->count : below(g, g->count)];
    if (is_new) {
        id_new(article->id);
        g->count++;
    }
    return write_event(g, article, is_new ? "article.created" : "article.updated", content(g, article, is_new)) &&
           write_event(g, article, "article.revision_created",
                       str_of(arena_printf(g->arena, "{\"id\":\"%s\",\"revision\":%d}", article->id,
                                           (article->version + 1) / 2)));
}

int main(int argc, char **argv)
{
    struct err err;
    int pairs = argc == 2 ? atoi(argv[1]) / 2 : 0;
    struct generator g = {.arena = arena_new(ARENA_LIMIT),
                          .articles = calloc((size_t)pairs + 1, sizeof(struct written)),
                          .moment = clock_now()};
    if (pairs <= 0 || g.arena == NULL || g.articles == NULL || crypt_init(&err) != 0) {
        fprintf(stderr, "usage: generate EVENTS\n");
        return 2;
    }
    bool ok = true;
    for (int i = 0; ok && i < pairs; i++) {
        arena_reset(g.arena);
        ok = write_pair(&g, i);
    }
    free(g.articles);
    arena_free(&g.arena);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
