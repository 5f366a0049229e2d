/* See gate.h. */
#include "base/gate.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_US = 2000 };

/* Process ids; 0: free. */
struct gate {
    atomic_llong places, waiting;
    atomic_int inside[GATE_MOST], before[GATE_WAITING_MOST];
};

struct gate *gate_new(int64_t places, int64_t waiting)
{
    struct gate *gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (gate == MAP_FAILED)
        return NULL;
    gate_set(gate, places, waiting);
    return gate;
}

void gate_free(struct gate **gate)
{
    if (*gate != NULL)
        munmap(*gate, sizeof **gate);
    *gate = NULL;
}

void gate_set(struct gate *gate, int64_t places, int64_t waiting)
{
    atomic_store(&gate->places, places < GATE_MOST ? places : GATE_MOST);
    atomic_store(&gate->waiting, waiting < GATE_WAITING_MOST ? waiting : GATE_WAITING_MOST);
}

static bool take(atomic_int *owners, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int owner = atomic_load(&owners[i]);
        bool gone = owner != 0 && kill(owner, 0) != 0 && errno == ESRCH;
        if ((owner == 0 || gone) && atomic_compare_exchange_strong(&owners[i], &owner, (int)getpid()))
            return true;
    }
    return false;
}

/* Of all places, for there may have been more of them when it was taken. */
static void give_back(atomic_int *owners, int64_t count)
{
    int self = (int)getpid();
    for (int64_t i = 0; i < count; i++) {
        int owner = self;
        if (atomic_compare_exchange_strong(&owners[i], &owner, 0))
            return;
    }
}

static bool await(struct gate *gate, int64_t patience_us)
{
    const struct timespec pause = {0, PAUSE_US * 1000L};
    for (int64_t until = clock_steady() + patience_us; clock_steady() < until; nanosleep(&pause, NULL))
        if (take(gate->inside, atomic_load(&gate->places)))
            return true;
    return false;
}

bool gate_enter(struct gate *gate, int64_t patience_us)
{
    if (gate == NULL || take(gate->inside, atomic_load(&gate->places)))
        return true;
    if (!take(gate->before, atomic_load(&gate->waiting)))
        return false;
    bool entered = await(gate, patience_us);
    give_back(gate->before, GATE_WAITING_MOST);
    return entered;
}

void gate_leave(struct gate *gate)
{
    if (gate != NULL)
        give_back(gate->inside, GATE_MOST);
}
