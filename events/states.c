/* A hash table of packed states. See states.h. */
#include "events/states.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 65536 };

struct kept {
    struct kept *next;
    char *stream;
    void *block;
    size_t bytes;
};

struct states {
    size_t bytes, limit;
    struct kept *buckets[BUCKETS];
};

struct states *states_new(size_t limit)
{
    struct states *states = calloc(1, sizeof *states);
    if (states != NULL)
        states->limit = limit;
    return states;
}

static struct kept **place_of(const struct states *states, const char *stream)
{
    uint64_t hash = hash_text(stream);
    struct kept *const *place = &states->buckets[(hash ^ hash >> 32) % BUCKETS];
    while (*place != NULL && strcmp((*place)->stream, stream) != 0)
        place = &(*place)->next;
    return (struct kept **)(uintptr_t)place;
}

static void drop_at(struct states *states, struct kept **place)
{
    struct kept *kept = *place;
    if (kept == NULL)
        return;
    *place = kept->next;
    states->bytes -= kept->bytes;
    free(kept->stream);
    free(kept->block);
    free(kept);
}

static void clear(struct states *states)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (states->buckets[i] != NULL)
            drop_at(states, &states->buckets[i]);
}

void states_free(struct states **states)
{
    if (*states == NULL)
        return;
    clear(*states);
    free(*states);
    *states = NULL;
}

const void *states_find(const struct states *states, const char *stream)
{
    const struct kept *kept = *place_of(states, stream);
    return kept != NULL ? kept->block : NULL;
}

void states_drop(struct states *states, const char *stream)
{
    drop_at(states, place_of(states, stream));
}

int states_keep(struct states *states, const struct read_model *model, const char *stream, const void *state,
                struct err *err)
{
    size_t bytes = state_bytes(model, state);
    struct kept *kept = calloc(1, sizeof *kept);
    if (kept != NULL) {
        kept->stream = strdup(stream);
        kept->block = malloc(bytes);
        kept->bytes = bytes + strlen(stream) + sizeof *kept;
    }
    if (kept == NULL || kept->stream == NULL || kept->block == NULL) {
        if (kept != NULL) {
            free(kept->stream);
            free(kept->block);
        }
        free(kept);
        return fail(err, ERR_UNAVAILABLE, "no memory for the state of %.64s", stream);
    }
    state_pack(model, state, kept->block);
    states_drop(states, stream);
    if (states->bytes + kept->bytes > states->limit)
        clear(states);
    struct kept **place = place_of(states, stream);
    kept->next = *place;
    *place = kept;
    states->bytes += kept->bytes;
    return 0;
}
