/* See known.h. */
#include "events/known.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <sys/mman.h>

struct known {
    atomic_llong position, asked;   /* asked: clock_steady */
    atomic_llong names, names_here; /* log_head's count of changes; ours, which may not be in it yet */
};

struct known *known_new(void)
{
    struct known *known = mmap(NULL, sizeof *known, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (known == MAP_FAILED)
        return NULL;
    atomic_init(&known->position, -1);
    atomic_init(&known->asked, -KNOWN_US);
    atomic_init(&known->names, 0);
    atomic_init(&known->names_here, 0);
    return known;
}

void known_free(struct known **known)
{
    if (*known != NULL)
        munmap(*known, sizeof **known);
    *known = NULL;
}

void known_raise(struct known *known, int64_t position)
{
    if (known == NULL)
        return;
    long long there = atomic_load(&known->position);
    while (there < position && !atomic_compare_exchange_weak(&known->position, &there, position))
        ;
}

int64_t known_now(const struct known *known)
{
    return known != NULL ? atomic_load(&known->position) : -1;
}

static void raise_names(struct known *known, long long names)
{
    long long there = atomic_load(&known->names);
    while (there < names && !atomic_compare_exchange_weak(&known->names, &there, names))
        ;
}

int known_ask(struct known *known, struct sql *db, struct arena *arena, struct log_head *head, struct err *err)
{
    int64_t now = clock_steady();
    long long before = known != NULL ? atomic_load(&known->position) : -1;
    if (eventlog_head(db, arena, head, err) != 0)
        return -1;
    if (known == NULL)
        return 0;
    /* Lower: the database was restored from a copy. Otherwise, of two that ask, the slower takes nothing back. */
    if (head->position >= before) {
        known_raise(known, head->position);
        raise_names(known, head->names);
    } else {
        atomic_compare_exchange_strong(&known->position, &before, head->position);
        atomic_store(&known->names, head->names);
    }
    atomic_store(&known->asked, now);
    return 0;
}

int known_position(struct known *known, struct sql *db, struct arena *arena, int64_t *position, struct err *err)
{
    struct log_head head;
    long long before = known != NULL ? atomic_load(&known->position) : -1;
    if (known != NULL && before >= 0 && clock_steady() - atomic_load(&known->asked) < KNOWN_US) {
        *position = before;
        return 0;
    }
    if (known_ask(known, db, arena, &head, err) != 0)
        return -1;
    *position = head.position;
    return 0;
}

int64_t known_names(const struct known *known)
{
    return known != NULL ? atomic_load(&known->names) + atomic_load(&known->names_here) : 0;
}

void known_names_changed(struct known *known)
{
    if (known != NULL)
        atomic_fetch_add(&known->names_here, 1);
}
