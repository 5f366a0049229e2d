/*
 * Places where a test may kill the process: fault_point("name") is nothing at all unless Courant is configured with
 * --enable-faults. Then it takes away the file of that name in the folder $COURANT_FAULTS, where there is one, and ends
 * the process by SIGKILL: no handler, no flush, as a crash would.
 */
#ifndef COURANT_BASE_FAULT_H
#define COURANT_BASE_FAULT_H

#ifdef COURANT_FAULTS
void fault_point(const char *name);
#else
#define fault_point(name) ((void)0)
#endif

#endif
