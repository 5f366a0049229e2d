/*
 * Places where a test may kill the process: fault_point("name") is nothing at all unless Courant is configured with
 * --enable-faults. Then it takes away the file of that name in the folder $COURANT_FAULTS, where there is one, and ends
 * the process by SIGKILL: no handler, no flush, as a crash would.
 *
 * fault_due("name") is for what a server does on the process's behalf: where the file is there it is taken away, true
 * is the answer, and the SIGKILL comes a tenth of a second later. The caller makes the server stay at the step
 * meanwhile.
 */
#ifndef COURANT_BASE_FAULT_H
#define COURANT_BASE_FAULT_H

#include <stdbool.h>

#ifdef COURANT_FAULTS
void fault_point(const char *name);
bool fault_due(const char *name);
#else
#define fault_point(name) ((void)0)
#define fault_due(name) (false)
#endif

#endif
