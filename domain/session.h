/*
 * Sessions and API tokens: their commands, and who it is that acts.
 *
 * A session begins with a login and ends with a logout, a revocation or its time. Its access token (http/token.h) says
 * whose it is for some minutes; whether it goes on is asked of the table `sessions` for every request, so that an end
 * is one at once. Its refresh token is good for one use, which gives the next; a second use of the same one, which
 * somebody else must have had too, ends the session.
 *
 * An API token stands for its user as far as its scopes go: «read», «write», and those permissions of the user that it
 * names. It changes no account.
 */
#ifndef COURANT_DOMAIN_SESSION_H
#define COURANT_DOMAIN_SESSION_H

#include "domain/user.h"
#include "http/keys.h"

/* «<kind>_» and 43 characters: 256 random bits. Refresh tokens, API tokens and invitations have this form. */
enum { SECRET_TEXT = 64 };
#define REFRESH_KIND "crt"
#define API_TOKEN_KIND "cat"
#define INVITATION_KIND "civ"

/* Makes a secret of a kind, and what is kept of it. */
void secret_make(const char *kind, char text[SECRET_TEXT], unsigned char hash[SHA256_SIZE]);
/* What is kept of it; false for a text of another form. */
bool secret_hash(const char *kind, const char *text, unsigned char hash[SHA256_SIZE]);

/* aside of LOG_IN. */
struct login {
    const char *verified;      /* the hash that the password was checked against */
    const char *password_hash; /* a new one; NULL keeps the one there is */
    const char *agent;         /* what the client calls itself, at most 200 characters */
    unsigned char refresh[SHA256_SIZE];
};

enum { TOKENS_MOST = 100 }; /* of one user */

/* aside of CREATE_TOKEN: what is kept of the token. aside of the other three: the id of the session or token. */

/*
 * Not for clients to send as they are: whoever dispatches LOG_IN has verified the password. Target: the user. The actor
 * of LOG_IN is the session that begins. It is ERR_DENIED where the hash is another one by now.
 */
extern const struct command_type LOG_IN;
extern const struct command_type LOG_OUT;
extern const struct command_type REVOKE_SESSION;
extern const struct command_type CREATE_TOKEN;
extern const struct command_type REVOKE_TOKEN;
/* aside: what is kept of the invitation. Target: who invites. */
extern const struct command_type CREATE_INVITATION;
/* aside: the id of the invitation. Target: who ends it. */
extern const struct command_type REVOKE_INVITATION;

enum { INVITATION_S = 7 * 86400 }; /* the life of one, where nobody says */

/*
 * Who this token, an access token or an API token, stands for. ERR_DENIED for one that is not valid (any more), or
 * whose session is over. Of an API token session_id is the token's id.
 */
int identify(struct sql *db, struct keys *keys, struct arena *arena, const char *token, struct actor *actor,
             struct err *err);

/* What identify said before of a session or an API token, as it is now; ERR_DENIED where that is over. */
int session_check(struct sql *db, struct arena *arena, struct actor *actor, struct err *err);

/* Whose sessions an event ends, or gives other permissions: that one, or all but the spared one. NULL: none. */
struct ending {
    const char *user_id, *session_id, *spared;
    bool over; /* the session is; otherwise it may go on, with other permissions */
};

/* Whether the event is of that kind; texts are in the arena. */
bool session_ending(const struct envelope *event, struct arena *arena, struct ending *ending);

/* What a refresh token was good for. */
struct refreshed {
    const char *user_id, *session_id; /* also of a token that was used before: `again` */
    const char *username, *permissions;
    bool again;
};

/*
 * Uses a refresh token up, and puts the next in its place. ERR_DENIED for one that is not valid, or was used before.
 * Nothing is asked after the commit, so that no failure leaves a client whose token is spent without the next one;
 * where the commit's answer is lost, it is done if the next one is there. ERR_UNKNOWN where the database does not say.
 */
int session_refresh(struct sql *db, struct arena *arena, const struct conf *conf, const char *text,
                    const unsigned char next[SHA256_SIZE], struct refreshed *refreshed, struct err *err);

/* The session that a refresh token, used or not, is of; ERR_DENIED where there is none. */
int session_of_refresh(struct sql *db, struct arena *arena, const char *text, struct actor *actor, struct err *err);

/* Whose session or token (API) this is; ERR_ABSENT where there is none. */
int session_owner(struct sql *db, struct arena *arena, const char *id, const char **user_id, struct err *err);
int token_owner(struct sql *db, struct arena *arena, const char *id, const char **user_id, struct err *err);

/* A part of a list that goes from the newest to the oldest. */
struct part {
    const char *before; /* an id, of which it begins behind; NULL: with the newest */
    size_t limit;
    const char *next; /* set: the id of which the next part begins behind; NULL: that was all */
};

/* A part's start as a value of «id < ?». */
struct sql_arg part_start(const struct part *part);
/* How many of the rows, of which the first column is an id, belong to the part: one more than its limit was asked for.
 */
size_t part_end(struct part *part, const struct sql_rows *rows);
/* «,"name":time» of a cell. */
void part_moment(struct buf *buf, const char *name, struct str cell);

/* Adds a user's sessions, and tokens, as JSON objects with commas between. current: the id of the reader's own. */
int session_list(struct sql *db, const char *user_id, const char *current, struct part *part, struct buf *buf,
                 struct err *err);
int token_list(struct sql *db, const char *user_id, struct part *part, struct buf *buf, struct err *err);

/* Takes away what is past its time. */
int session_purge(struct sql *db, struct err *err);

/* Invitations, which register_user takes once within their time (seconds, from now). inviter: NULL for an operator. */
void invitation_insert(struct sql_batch *batch, const char *id, const char *inviter, const unsigned char *hash,
                       int64_t now, int64_t seconds);
/* One of an operator's: invitation.created, on a stream of its own, for there is no account that it would be of. */
int invitation_add(struct sql *db, struct arena *arena, const struct conf *conf, const unsigned char *hash,
                   int64_t seconds, char id[ID_TEXT], struct err *err);
/* ERR_ABSENT where there is none. */
int invitation_find(struct sql *db, struct arena *arena, const char *id, struct err *err);
/* Those whose time is not over. */
int invitation_list(struct sql *db, struct part *part, struct buf *buf, struct err *err);

#endif
