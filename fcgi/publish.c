/* See publish.h. */
#include "fcgi/publish.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <time.h>

enum { ARENA_LIMIT = 128 * 1024 * 1024, COMPLAIN_US = 10000000, PAUSE_NS = 200000000 };

static volatile sig_atomic_t asked_to_end;
static int64_t next_complaint;

static void on_end(int number)
{
    (void)number;
    asked_to_end = 1;
}

static bool going(void)
{
    return !asked_to_end;
}

/* Nothing is lost meanwhile: the log has it. */
static void complain(const struct err *err)
{
    if (clock_steady() < next_complaint)
        return;
    next_complaint = clock_steady() + COMPLAIN_US;
    if (err->kind == ERR_CONFLICT)
        log_error("nothing is published: %s", err->text);
    else
        log_warning("not published yet: %s", err->text);
}

static void take_signals(void)
{
    sigset_t none;
    struct sigaction action = {.sa_handler = on_end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGHUP, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int publish_run(const struct conf *conf, struct lane *lane)
{
    struct err err;
    struct sql *db = NULL;
    struct bus *bus = NULL;
    struct arena *arena = arena_new(ARENA_LIMIT);
    const struct timespec pause = {0, PAUSE_NS};
    take_signals();
    int status = arena != NULL ? bus_open(&bus, conf, &err) : fail(&err, ERR_UNAVAILABLE, "no memory");
    if (status != 0)
        log_error("%s", err.text);
    while (status == 0 && db == NULL && going())
        if (sql_open(&db, conf, &err) != 0) {
            complain(&err);
            nanosleep(&pause, NULL);
        }
    if (db != NULL)
        lane_serve(lane, bus, db, arena, going, complain);
    bus_close(&bus);
    bus_end();
    sql_close(&db);
    sql_end();
    arena_free(&arena);
    return status != 0;
}
