/* Crashes on demand. See fault.h. */
#include "base/fault.h"

#ifdef COURANT_FAULTS

#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum { LATER_US = 100000 };

/* Of several processes that come by, one finds the file. */
static bool take(const char *name)
{
    char path[4096];
    const char *folder = getenv("COURANT_FAULTS");
    if (folder == NULL)
        return false;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (unlink(path) != 0)
        return false;
    log_warning("the fault point %s ends this process", name);
    return true;
}

void fault_point(const char *name)
{
    if (take(name))
        raise(SIGKILL);
}

static void end(int number)
{
    (void)number;
    raise(SIGKILL);
}

bool fault_due(const char *name)
{
    const struct sigaction action = {.sa_handler = end};
    const struct itimerval later = {.it_value = {.tv_usec = LATER_US}};
    sigset_t alarm;
    if (!take(name))
        return false;
    /* A worker blocks signals while it works. */
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_UNBLOCK, &alarm, NULL);
    setitimer(ITIMER_REAL, &later, NULL);
    return true;
}

#else
typedef int fault_points_are_not_built;
#endif
