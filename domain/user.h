/*
 * Accounts: commands, projections, queries. A stream per user, «user-<id>». Passwords never reach an event: their
 * hashes stand in the table `credentials`, written in the command's transaction beside the events.
 */
#ifndef COURANT_DOMAIN_USER_H
#define COURANT_DOMAIN_USER_H

#include "events/command.h"

/*
 * Payload: username, email, password, and permissions for who has user_admin. aside: the password's hash (a string).
 */
extern const struct command_type REGISTER_USER;

/* Target: the user. aside: a new hash of the password (a string), or NULL to keep the one there is. */
extern const struct command_type LOG_IN;

/* All there are, with spaces between. */
extern const char ALL_PERMISSIONS[];

int user_registered(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err);
int user_permission_granted(struct sql_batch *batch, const struct envelope *event, struct arena *arena,
                            struct err *err);
int user_logged_in(struct sql_batch *batch, const struct envelope *event, struct arena *arena, struct err *err);

struct user {
    const char *id, *username, *email, *permissions, *password_hash;
};

/* By name or by email; ERR_ABSENT where there is none. */
int user_find(struct sql *db, struct arena *arena, const char *name, struct user *user, struct err *err);

#endif
