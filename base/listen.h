/*
 * Listening sockets, for every program that has one.
 */
#ifndef COURANT_BASE_LISTEN_H
#define COURANT_BASE_LISTEN_H

#include "base/err.h"

/*
 * Opens «unix:/path», «host:port» or «[v6]:port» and listens, close-on-exec and non-blocking. A path that a dead server
 * left behind is replaced, one that a living server answers on is refused. Returns the descriptor or -1.
 */
int listen_open(const char *address, struct err *err);

/* Connects to such an address, blocking. Returns the descriptor or -1, ERR_UNAVAILABLE. */
int listen_connect(const char *address, struct err *err);

/* Takes away what listen_open left in the file system. */
void listen_remove(const char *address);

/* Whether descriptor 0 is a listening socket that somebody else opened (spawn-fcgi, systemd, mod_fcgid). */
bool listen_inherited(void);

#endif
