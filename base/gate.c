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

struct gate {
    int64_t places;
    atomic_int owners[GATE_MOST]; /* process ids; 0: free */
};

struct gate *gate_new(int64_t places)
{
    struct gate *gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (gate == MAP_FAILED)
        return NULL;
    gate->places = places < GATE_MOST ? places : GATE_MOST;
    return gate;
}

void gate_free(struct gate **gate)
{
    if (*gate != NULL)
        munmap(*gate, sizeof **gate);
    *gate = NULL;
}

static bool try_enter(struct gate *gate)
{
    for (int64_t i = 0; i < gate->places; i++) {
        int owner = atomic_load(&gate->owners[i]);
        bool gone = owner != 0 && kill(owner, 0) != 0 && errno == ESRCH;
        if ((owner == 0 || gone) && atomic_compare_exchange_strong(&gate->owners[i], &owner, (int)getpid()))
            return true;
    }
    return false;
}

bool gate_enter(struct gate *gate, int64_t patience_us)
{
    const struct timespec pause = {0, PAUSE_US * 1000L};
    int64_t until = clock_steady() + patience_us;
    if (gate == NULL)
        return true;
    while (!try_enter(gate)) {
        if (clock_steady() >= until)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

void gate_leave(struct gate *gate)
{
    int self = (int)getpid();
    for (int64_t i = 0; gate != NULL && i < gate->places; i++) {
        int owner = self;
        if (atomic_compare_exchange_strong(&gate->owners[i], &owner, 0))
            return;
    }
}
