/*
 * How many streams there are, in all and of whom: of a user, and of an address. Over all loops.
 */
#ifndef COURANT_NOTIFIER_PLACES_H
#define COURANT_NOTIFIER_PLACES_H

#include "base/address.h"
#include "base/conf.h"

struct places;

/* The one that is used up. */
enum place { PLACE_FREE, PLACE_NONE, PLACE_NONE_OF_USER, PLACE_NONE_OF_ADDRESS, PLACE_NO_MEMORY };

struct places *places_new(void);
void places_free(struct places **places);

/* Takes one under every limit of the configuration, or under none. user_id: NULL for nobody. */
enum place places_take(struct places *places, const struct conf *conf, const char *user_id,
                       const struct address *address);
/* One that was taken. */
void places_give_back(struct places *places, const char *user_id, const struct address *address);

size_t places_taken(struct places *places);

#endif
