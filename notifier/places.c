/* Counts by user and by address. See places.h. */
#include "notifier/places.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 40, BUCKETS = 4096 };

/* «u» and the user's id, or «a» and the bytes of the address that stand for one client. */
struct count {
    struct count *next;
    size_t count;
    char key[KEY];
};

struct places {
    pthread_mutex_t lock;
    size_t all;
    struct count *buckets[BUCKETS];
};

struct places *places_new(void)
{
    struct places *places = calloc(1, sizeof *places);
    if (places != NULL)
        pthread_mutex_init(&places->lock, NULL);
    return places;
}

void places_free(struct places **places)
{
    if (*places == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct count *count = (*places)->buckets[i], *next; count != NULL; count = next) {
            next = count->next;
            free(count);
        }
    pthread_mutex_destroy(&(*places)->lock);
    free(*places);
    *places = NULL;
}

static void key_of_user(const char *user_id, char key[KEY])
{
    memset(key, 0, KEY);
    key[0] = 'u';
    if (user_id != NULL)
        strncpy(key + 1, user_id, KEY - 2);
}

static void key_of_address(const struct address *address, char key[KEY])
{
    memset(key, 0, KEY);
    key[0] = 'a';
    memcpy(key + 1, address->bytes, address_significant(address));
}

/* Where the count is, or where it would be. */
static struct count **find(struct places *places, const char key[KEY])
{
    uint64_t hash = hash_bytes(key, KEY);
    struct count **at = &places->buckets[(hash ^ hash >> 32) % BUCKETS];
    while (*at != NULL && memcmp((*at)->key, key, KEY) != 0)
        at = &(*at)->next;
    return at;
}

static size_t counted(struct places *places, const char key[KEY])
{
    const struct count *count = *find(places, key);
    return count != NULL ? count->count : 0;
}

static bool add(struct places *places, const char key[KEY])
{
    struct count **at = find(places, key);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at == NULL)
            return false;
        memcpy((*at)->key, key, KEY);
    }
    (*at)->count++;
    return true;
}

static void take_out(struct places *places, const char key[KEY])
{
    struct count **at = find(places, key), *count = *at;
    if (--count->count > 0)
        return;
    *at = count->next;
    free(count);
}

static enum place take(struct places *places, const struct conf *conf, const char *user, const char *address)
{
    if (places->all >= (size_t)conf->notifier_clients)
        return PLACE_NONE;
    if (user != NULL && counted(places, user) >= (size_t)conf->notifier_clients_user)
        return PLACE_NONE_OF_USER;
    if (counted(places, address) >= (size_t)conf->notifier_clients_address)
        return PLACE_NONE_OF_ADDRESS;
    if (!add(places, address))
        return PLACE_NO_MEMORY;
    if (user != NULL && !add(places, user)) {
        take_out(places, address);
        return PLACE_NO_MEMORY;
    }
    places->all++;
    return PLACE_FREE;
}

enum place places_take(struct places *places, const struct conf *conf, const char *user_id,
                       const struct address *address)
{
    char user[KEY], from[KEY];
    key_of_user(user_id, user);
    key_of_address(address, from);
    pthread_mutex_lock(&places->lock);
    enum place place = take(places, conf, user_id != NULL ? user : NULL, from);
    pthread_mutex_unlock(&places->lock);
    return place;
}

void places_give_back(struct places *places, const char *user_id, const struct address *address)
{
    char user[KEY], from[KEY];
    key_of_user(user_id, user);
    key_of_address(address, from);
    pthread_mutex_lock(&places->lock);
    if (user_id != NULL)
        take_out(places, user);
    take_out(places, from);
    places->all--;
    pthread_mutex_unlock(&places->lock);
}

size_t places_taken(struct places *places)
{
    pthread_mutex_lock(&places->lock);
    size_t all = places->all;
    pthread_mutex_unlock(&places->lock);
    return all;
}
