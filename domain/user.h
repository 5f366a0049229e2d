/*
 * Accounts: commands, projections, queries. A stream per user, «user-<id>». Passwords never reach an event: their
 * hashes stand in the table `credentials`, written in the command's transaction beside the events.
 */
#ifndef COURANT_DOMAIN_USER_H
#define COURANT_DOMAIN_USER_H

#include "events/command.h"

extern const struct read_model USERS;

/* Payload: username, email, password, and permissions for who has user_admin. */
extern const struct command_type REGISTER_USER;

/*
 * Not for clients to send as it is: whoever dispatches it has verified the password. Target: the user. aside: a new
 * hash of the password (a string), or NULL to keep the one there is.
 */
extern const struct command_type LOG_IN;

/* All there are, with spaces between. */
extern const char ALL_PERMISSIONS[];

/* The row, and the state that the events make. */
struct user {
    const char *id, *username, *email, *permissions;
    int64_t version;
    int64_t created_at, updated_at, last_login_at; /* last_login_at: INT64_MIN for never */
    const char *password_hash;                     /* not of the row: user_find alone sets it */
};

int user_registered(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_imported(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_permission_granted(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_logged_in(void *state, const struct envelope *event, struct arena *arena, struct err *err);

/* By name or by email; ERR_ABSENT where there is none. */
int user_find(struct sql *db, struct arena *arena, const char *name, struct user *user, struct err *err);

#endif
