/*
 * Who acts or reads, and the one rule on who may see an event.
 *
 * A user's permissions are words with spaces between. An event's audience too is a list of words, of which one must
 * fit: «public» fits everybody, «user:<id>» that user, «permission:<name>» whoever has it; who has «audit_read» sees
 * every event. What an event says of a thing that was withdrawn since (events/model.h) is no longer for everybody:
 * «public» does not count then, the other words do. Live delivery and replay ask audience_admits.
 */
#ifndef COURANT_EVENTS_ACTOR_H
#define COURANT_EVENTS_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

struct actor {
    const char *user_id; /* NULL: nobody with an account */
    const char *username;
    const char *session_id;
    const char *permissions;
    const char *scopes; /* of an API token, whose id then stands in session_id; NULL: a session, or nobody */
    const char *kid;    /* of the key that vouches for the session; NULL: none does */
    int64_t expires;    /* a moment; when the session's token ends */
};

extern const struct actor ANONYMOUS;
extern const struct actor OPERATOR; /* whoever runs courantctl on the server */

bool actor_may(const struct actor *actor, const char *permission);
bool audience_admits(const char *audience, const struct actor *actor, bool withdrawn);
/* Whether one of its words is «public». */
bool audience_public(const char *audience);
/* Whether one of its words is this user. */
bool audience_names(const char *audience, const char *user_id);

/* Whether the reader may know who caused an event of this user: the user himself, or audit_read. */
bool actor_sees_metadata(const struct actor *actor, const char *acting_user);

#endif
