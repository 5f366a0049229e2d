/* The supervisor of the workers. See pool.h. */
#include "fcgi/pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "fcgi/publish.h"
#include "fcgi/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DRAIN_US = 20000000, SHORT_LIFE_US = 1000000, PAUSE_LEAST_US = 100000, PAUSE_MOST_US = 5000000 };

struct slot {
    pid_t pid; /* 0: none */
    int64_t started, start_at, pause;
    bool outdated;
};

struct pool {
    struct pool_setup *setup;
    struct slot *slots;
    size_t count;
    int64_t workers;
    bool draining;
    int64_t drain_until;
    sigset_t signals;
};

/* The last slot is that of the process that publishes, where there is more than one worker. */
static int run_child(const struct pool *pool, const struct slot *slot)
{
    const struct pool_setup *setup = pool->setup;
    if (pool->count > 1 && slot == &pool->slots[pool->count - 1])
        return publish_run(setup->conf, setup->lane);
    return worker_run(setup->conf, setup->listen_fd, setup->lane, setup->known, setup->throttle);
}

static void start(struct pool *pool, struct slot *slot)
{
    pid_t parent = getpid();
    slot->started = clock_steady();
    slot->pid = fork();
    if (slot->pid < 0) {
        log_error("fork: %s", strerror(errno));
        slot->pid = 0;
        slot->start_at = clock_steady() + PAUSE_MOST_US;
    } else if (slot->pid == 0) {
        /* A pool that dies takes its workers along; the check closes the gap before prctl. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int status = getppid() == parent ? run_child(pool, slot) : 1;
        free(pool->slots);
        lane_free(&pool->setup->lane);
        known_free(&pool->setup->known);
        throttle_free(&pool->setup->throttle);
        gate_free(&pool->setup->gate);
        exit(status);
    }
}

static void start_due(struct pool *pool)
{
    for (size_t i = 0; i < pool->count && !pool->draining; i++)
        if (pool->slots[i].pid == 0 && clock_steady() >= pool->slots[i].start_at)
            start(pool, &pool->slots[i]);
}

static void ended(struct pool *pool, pid_t pid, int status)
{
    for (size_t i = 0; i < pool->count; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->pid != pid)
            continue;
        bool wanted = pool->draining || slot->outdated;
        bool young = clock_steady() - slot->started < SHORT_LIFE_US && !wanted;
        slot->pid = 0;
        slot->outdated = false;
        slot->pause = !young ? 0 : slot->pause == 0 ? PAUSE_LEAST_US : slot->pause * 2;
        if (slot->pause > PAUSE_MOST_US)
            slot->pause = PAUSE_MOST_US;
        slot->start_at = clock_steady() + slot->pause;
        if (!wanted)
            log_warning("worker %ld ended by %s %d", (long)pid, WIFSIGNALED(status) ? "signal" : "status",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

static void reap(struct pool *pool)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        ended(pool, pid, status);
}

static size_t alive(const struct pool *pool)
{
    size_t count = 0;
    for (size_t i = 0; i < pool->count; i++)
        count += pool->slots[i].pid != 0;
    return count;
}

static void signal_all(const struct pool *pool, int number)
{
    for (size_t i = 0; i < pool->count; i++)
        if (pool->slots[i].pid != 0)
            kill(pool->slots[i].pid, number);
}

/* The next outdated worker goes when all others are there. */
static void replace_next(struct pool *pool)
{
    if (pool->draining || alive(pool) < pool->count)
        return;
    for (size_t i = 0; i < pool->count; i++)
        if (pool->slots[i].outdated) {
            kill(pool->slots[i].pid, SIGTERM);
            return;
        }
}

int64_t pool_waiting(int64_t workers)
{
    return workers / 4;
}

static void reload(struct pool *pool)
{
    struct conf fresh;
    struct err err;
    if (conf_load(&fresh, pool->setup->conf_path, "courant-fcgi", &err) != 0) {
        log_error("not reloaded: %s", err.text);
        return;
    }
    if (fresh.fcgi_workers != pool->setup->conf->fcgi_workers ||
        strcmp(fresh.fcgi_listen, pool->setup->conf->fcgi_listen) != 0)
        log_warning("fcgi.workers and fcgi.listen take effect after a restart");
    *pool->setup->conf = fresh;
    gate_set(pool->setup->gate, fresh.auth_argon2_concurrent, pool_waiting(pool->workers));
    conf_wipe(&fresh);
    for (size_t i = 0; i < pool->count; i++)
        pool->slots[i].outdated = pool->slots[i].pid != 0;
    log_info("reloading");
    replace_next(pool);
}

static void drain(struct pool *pool)
{
    if (!pool->draining)
        log_info("ending: workers finish their requests");
    pool->draining = true;
    pool->drain_until = clock_steady() + DRAIN_US;
    signal_all(pool, SIGTERM);
}

static void handle(struct pool *pool, int number)
{
    if (number == SIGTERM || number == SIGINT)
        drain(pool);
    else if (number == SIGHUP && !pool->draining)
        reload(pool);
    reap(pool);
}

int pool_run(struct pool_setup *setup)
{
    size_t workers = (size_t)setup->conf->fcgi_workers;
    struct pool pool = {.setup = setup, .workers = (int64_t)workers, .count = workers > 1 ? workers + 1 : workers};
    const struct timespec turn = {0, 100000000};
    pool.slots = calloc(pool.count, sizeof *pool.slots);
    if (pool.slots == NULL)
        return 1;
    sigfillset(&pool.signals);
    sigprocmask(SIG_BLOCK, &pool.signals, NULL);
    log_info("%zu workers on %s", workers, setup->conf->fcgi_listen);
    while (!pool.draining || alive(&pool) > 0) {
        start_due(&pool);
        int number = sigtimedwait(&pool.signals, NULL, &turn);
        if (number > 0) {
            handle(&pool, number);
            if (number == SIGCHLD)
                start_due(&pool);
        }
        if (number == SIGCHLD || number < 0)
            replace_next(&pool);
        if (pool.draining && clock_steady() > pool.drain_until)
            signal_all(&pool, SIGKILL);
    }
    free(pool.slots);
    log_info("ended");
    return 0;
}
