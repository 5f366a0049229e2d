/* A set of names of streams. See withdrawn.h. */
#include "notifier/withdrawn.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Names stand for themselves by the first half of their SHA-256: two of them never meet. Open addressing; a place of
 * zeros is empty.
 */
enum { NAME = 16, ROOM_LEAST = 64 };

struct table {
    unsigned char (*places)[NAME];
    size_t room, count; /* room: a power of two, at least twice the count */
};

struct withdrawn {
    pthread_mutex_t lock;
    struct table table;
    atomic_uint_fast64_t generation; /* rises when the set changes; from 1 */
};

static const unsigned char EMPTY[NAME];

static void name_of(const char *stream, unsigned char name[NAME])
{
    struct sha256 hash;
    unsigned char whole[SHA256_SIZE];
    sha256_start(&hash);
    sha256_add(&hash, stream, strlen(stream));
    sha256_end(&hash, whole);
    memcpy(name, whole, NAME);
}

static size_t home_of(const struct table *table, const unsigned char name[NAME])
{
    uint64_t bits;
    memcpy(&bits, name, sizeof bits);
    return (size_t)bits & (table->room - 1);
}

/* Its place, or the empty one where it would be. */
static size_t find(const struct table *table, const unsigned char name[NAME])
{
    size_t at = home_of(table, name);
    while (memcmp(table->places[at], EMPTY, NAME) != 0 && memcmp(table->places[at], name, NAME) != 0)
        at = (at + 1) & (table->room - 1);
    return at;
}

static bool has(const struct table *table, const unsigned char name[NAME])
{
    return table->room > 0 && memcmp(table->places[find(table, name)], name, NAME) == 0;
}

static bool widen(struct table *table)
{
    struct table wide = {.room = table->room > 0 ? table->room * 2 : ROOM_LEAST, .count = table->count};
    wide.places = calloc(wide.room, NAME);
    if (wide.places == NULL)
        return false;
    for (size_t i = 0; i < table->room; i++)
        if (memcmp(table->places[i], EMPTY, NAME) != 0)
            memcpy(wide.places[find(&wide, table->places[i])], table->places[i], NAME);
    free(table->places);
    *table = wide;
    return true;
}

static bool add(struct table *table, const unsigned char name[NAME])
{
    if (2 * (table->count + 1) > table->room && !widen(table))
        return false;
    memcpy(table->places[find(table, name)], name, NAME);
    table->count++;
    return true;
}

/* Those behind it move up, so that no search stops before it finds them. */
static void take_out(struct table *table, const unsigned char name[NAME])
{
    size_t mask = table->room - 1, hole = find(table, name);
    for (size_t at = (hole + 1) & mask; memcmp(table->places[at], EMPTY, NAME) != 0; at = (at + 1) & mask) {
        size_t home = home_of(table, table->places[at]);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            memcpy(table->places[hole], table->places[at], NAME);
            hole = at;
        }
    }
    memcpy(table->places[hole], EMPTY, NAME);
    table->count--;
}

struct withdrawn *withdrawn_new(void)
{
    struct withdrawn *withdrawn = calloc(1, sizeof *withdrawn);
    if (withdrawn == NULL)
        return NULL;
    pthread_mutex_init(&withdrawn->lock, NULL);
    atomic_init(&withdrawn->generation, 1);
    return withdrawn;
}

void withdrawn_free(struct withdrawn **withdrawn)
{
    if (*withdrawn == NULL)
        return;
    pthread_mutex_destroy(&(*withdrawn)->lock);
    free((*withdrawn)->table.places);
    free(*withdrawn);
    *withdrawn = NULL;
}

static bool add_stream(void *context, const char *stream)
{
    unsigned char name[NAME];
    name_of(stream, name);
    return has(context, name) || add(context, name);
}

int withdrawn_load(struct withdrawn *withdrawn, struct sql *db, struct arena *arena, const struct model *model,
                   struct err *err)
{
    struct table fresh = {0};
    int status = model->withdrawn(db, arena, add_stream, &fresh, err);
    if (status == 0) {
        pthread_mutex_lock(&withdrawn->lock);
        struct table old = withdrawn->table;
        withdrawn->table = fresh;
        fresh = old;
        atomic_fetch_add(&withdrawn->generation, 1);
        pthread_mutex_unlock(&withdrawn->lock);
    }
    free(fresh.places);
    return status;
}

bool withdrawn_note(struct withdrawn *withdrawn, const struct record *record)
{
    unsigned char name[NAME];
    bool done = true;
    if ((record->effect & (EVENT_SHOWS | EVENT_WITHDRAWS)) == 0)
        return true;
    name_of(record->stream, name);
    pthread_mutex_lock(&withdrawn->lock);
    bool is = has(&withdrawn->table, name), becomes = (record->effect & EVENT_WITHDRAWS) != 0;
    if (!is && becomes)
        done = add(&withdrawn->table, name);
    else if (is && !becomes)
        take_out(&withdrawn->table, name);
    if (is != becomes && done)
        atomic_fetch_add(&withdrawn->generation, 1);
    pthread_mutex_unlock(&withdrawn->lock);
    return done;
}

bool withdrawn_hides(struct withdrawn *withdrawn, struct record *record)
{
    if (!record->content)
        return false;
    uint_fast64_t judged = atomic_load_explicit(&record->judged, memory_order_relaxed);
    if (judged >> 1 != atomic_load(&withdrawn->generation)) {
        unsigned char name[NAME];
        name_of(record->stream, name);
        pthread_mutex_lock(&withdrawn->lock);
        judged = atomic_load(&withdrawn->generation) << 1 | has(&withdrawn->table, name);
        pthread_mutex_unlock(&withdrawn->lock);
        atomic_store_explicit(&record->judged, judged, memory_order_relaxed);
    }
    return (judged & 1) != 0;
}

size_t withdrawn_count(struct withdrawn *withdrawn)
{
    pthread_mutex_lock(&withdrawn->lock);
    size_t count = withdrawn->table.count;
    pthread_mutex_unlock(&withdrawn->lock);
    return count;
}
