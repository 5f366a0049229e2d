/* See throttle.h. */
#include "http/throttle.h"

#include "base/clock.h"
#include "base/crypt.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum { SETS = 8192, WAYS = 4, SECOND = 1000000 };

struct bucket {
    atomic_ullong who;  /* 0: nobody's */
    atomic_llong empty; /* clock_steady: when all tries are there again */
};

struct throttle {
    unsigned char key[SECRET_SIZE];
    struct bucket sets[SETS][WAYS];
};

struct throttle *throttle_new(void)
{
    struct throttle *throttle = mmap(NULL, sizeof *throttle, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (throttle == MAP_FAILED)
        return NULL;
    crypt_random(throttle->key, sizeof throttle->key);
    return throttle;
}

void throttle_free(struct throttle **throttle)
{
    if (*throttle != NULL)
        munmap(*throttle, sizeof **throttle);
    *throttle = NULL;
}

static struct bucket *bucket_of(struct throttle *throttle, const struct limit *limit, const void *who, size_t len)
{
    struct sha256 hash;
    unsigned char sum[SHA256_SIZE];
    uint64_t tag, place;
    sha256_start(&hash);
    sha256_add(&hash, throttle->key, sizeof throttle->key);
    sha256_add(&hash, limit->name, strlen(limit->name) + 1);
    sha256_add(&hash, who, len);
    sha256_end(&hash, sum);
    memcpy(&tag, sum, sizeof tag);
    memcpy(&place, sum + sizeof tag, sizeof place);
    tag |= 1;
    struct bucket *set = throttle->sets[place % SETS], *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (atomic_load(&set[i].who) == tag)
            return &set[i];
        if (atomic_load(&set[i].empty) < atomic_load(&oldest->empty))
            oldest = &set[i];
    }
    atomic_store(&oldest->empty, 0);
    atomic_store(&oldest->who, tag);
    return oldest;
}

/* Seconds, rounded up. */
static int64_t seconds(int64_t span)
{
    return span <= 0 ? 0 : (span + SECOND - 1) / SECOND;
}

struct allowance throttle_take(struct throttle *throttle, const struct limit *limit, const void *who, size_t len)
{
    if (throttle == NULL || limit->quota <= 0)
        return (struct allowance){.left = INT64_MAX};
    struct bucket *bucket = bucket_of(throttle, limit, who, len);
    int64_t now = clock_steady(), window = limit->window_s * SECOND, step = window / limit->quota;
    long long before = atomic_load(&bucket->empty), after;
    do {
        after = (before > now ? before : now) + step;
        if (after - now > window)
            return (struct allowance){
                .refused = true, .reset_s = seconds(before - now), .retry_s = seconds(after - now - window)};
    } while (!atomic_compare_exchange_weak(&bucket->empty, &before, after));
    return (struct allowance){.left = (window - (after - now)) / step, .reset_s = seconds(after - now)};
}

void throttle_give_back(struct throttle *throttle, const struct limit *limit, const void *who, size_t len)
{
    if (throttle != NULL && limit->quota > 0 && who != NULL)
        atomic_fetch_sub(&bucket_of(throttle, limit, who, len)->empty, limit->window_s * SECOND / limit->quota);
}
