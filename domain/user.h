/*
 * Accounts: commands, projections, queries. A stream per user, «user-<id>».
 *
 * Name and address are sealed in its events (events/seal.h). Credentials (hashes of passwords, refresh tokens and API
 * tokens) never reach an event: they stand in tables of their own, written in the command's transaction beside the
 * events.
 */
#ifndef COURANT_DOMAIN_USER_H
#define COURANT_DOMAIN_USER_H

#include "events/command.h"

extern const struct read_model USERS;

/* Payload: username, email, password, invitation, and permissions for who has user_admin. */
extern const struct command_type REGISTER_USER;
/* Payload: username, email. */
extern const struct command_type UPDATE_USER;
/* Payload: password, and current_password unless user_admin sets another's. Ends the other sessions. */
extern const struct command_type CHANGE_PASSWORD;
/* Payload: permissions, all that the user is to have. */
extern const struct command_type SET_PERMISSIONS;
/* The account and all that is personal goes; what the user wrote stays, of nobody. */
extern const struct command_type ERASE_USER;

/* All there are, with spaces between. */
extern const char ALL_PERMISSIONS[];

/* The row, and the state that the events make. */
struct user {
    const char *id;
    struct str sealed; /* empty once erased */
    const char *permissions;
    int64_t version;
    int64_t created_at, updated_at, renamed_at, last_login_at, erased_at; /* INT64_MIN for never */
    const char *username, *email;                             /* derived; NULL for one who was erased */
};

int user_registered(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_imported(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_updated(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_permission_granted(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_permission_revoked(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_logged_in(void *state, const struct envelope *event, struct arena *arena, struct err *err);
int user_erased(void *state, const struct envelope *event, struct arena *arena, struct err *err);
/* What changes nothing of the row but its version: sessions, tokens, a password. */
int user_noted(void *state, const struct envelope *event, struct arena *arena, struct err *err);
extern const upcaster USER_REGISTERED_UP[];
extern const upcaster USER_IMPORTED_UP[];

/* By name or by email; ERR_ABSENT where there is none. *hash: of the password; where hash is NULL none is needed. */
int user_find(struct sql *db, struct arena *arena, const char *name, struct user *user, const char **hash,
              struct err *err);
/* By id, for who may see the account: the user and user_admin; ERR_ABSENT otherwise, and for one who was erased. */
int user_find_id(struct sql *db, struct arena *arena, const char *id, const struct actor *reader, struct user *user,
                 struct err *err);

/* What the commands share. */

/* Whatever of a name, an address and permissions is not what it must be. */
void user_check(const struct command *command, struct faults *faults);
/* «{"id":…,"sealed":…}»: the payload's username and email under the command's key; once: see seal_text. */
struct str user_sealed_json(const struct command *command, const char *id, const char *once);
/* «{"id":…}». */
struct str user_id_json(const struct command *command);
/* The refusal for a name or an address that is taken. */
int user_taken(const char *key, struct err *err);
/* 0 for the user and for user_admin. To anybody else, and once it is erased, the account is not there. */
int user_may_change(const void *state, const struct command *command, struct err *err);
bool user_is_self(const struct command *command);
/* Whether the actor administers accounts: has user_admin, and in a session, for an API token changes none. */
bool user_administers(const struct actor *actor);
/* Lays a hash of the payload's password in command->aside. */
int user_hash_password(struct command *command, struct err *err);
/* Lets a batch fail, with this as its key, unless the hash of the target's password still is the one that was checked.
 */
#define PASSWORD_CHANGED "password_changed"
void user_expect_password(struct sql_batch *batch, const struct command *command, const char *hash);

#endif
