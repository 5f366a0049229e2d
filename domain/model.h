/*
 * The tables of the domain: every event type with its projection, every read model, every command that clients may
 * send. A new one of these is an entry here.
 */
#ifndef COURANT_DOMAIN_MODEL_H
#define COURANT_DOMAIN_MODEL_H

#include "events/command.h"

extern const struct model MODEL;

#endif
