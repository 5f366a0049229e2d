/* Crashes on demand. See fault.h. */
#include "base/fault.h"

#ifdef COURANT_FAULTS

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void fault_point(const char *name)
{
    char path[4096];
    const char *folder = getenv("COURANT_FAULTS");
    if (folder == NULL)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (unlink(path) == 0)
        raise(SIGKILL);
}

#else
typedef int fault_points_are_not_built;
#endif
