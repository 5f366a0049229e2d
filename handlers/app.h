/*
 * What the handlers of one worker share, and the table of its routes. A handler turns a request into a command or a
 * query, and the result into an answer; a worker publishes what `committed` holds once the answer is on its way.
 */
#ifndef COURANT_HANDLERS_APP_H
#define COURANT_HANDLERS_APP_H

#include "base/conf.h"
#include "domain/article_query.h"
#include "handlers/pages.h"
#include "http/keys.h"
#include "http/router.h"
#include "http/throttle.h"
#include "sql/db.h"

#include <json-c/json.h>

struct app {
    const struct conf *conf;
    struct sql *db;      /* NULL until the database could be reached */
    struct known *known; /* the pool's; may be NULL */
    struct names *names; /* may be NULL */
    struct pages *pages; /* likewise */
    struct keys *keys;
    struct throttle *throttle; /* the pool's; may be NULL */
    struct outcome committed;  /* of this request's command; count 0: none */
    bool commanded;            /* this request's command was done, with events or without */
};

extern const struct route ROUTES[];
extern const size_t ROUTE_COUNT;

struct app *app_of(const struct exchange *exchange);

/* The request's body as JSON, to be released with json_object_put; or NULL, and the problem is the answer. */
struct json_object *app_read_json(struct exchange *exchange);

/*
 * Dispatches a command of the exchange's actor; false, and the problem is the answer. On success the outcome is in
 * committed, Courant-Position is set, and the command's reply, where it makes one, is the answer. An Idempotency-Key of
 * the request is honoured where the command makes a reply (respond); the others are for app_without_key.
 */
bool app_dispatch(struct exchange *exchange, struct command *command);
/*
 * Whether the answer is made already: to an Idempotency-Key that is known, or at fault. For a command whose thing may
 * be gone once it was done, so that it must be asked before that is looked for; after app_database.
 */
bool app_repeated(struct exchange *exchange, struct command *command);
/*
 * Whether the request has no Idempotency-Key; otherwise 400 is the answer. For calls that show a secret: it is stored
 * nowhere, so it could not be shown again.
 */
bool app_without_key(struct exchange *exchange);

/*
 * What a command's client gets: 201 with Location for a new thing, 204 for one that is gone, or 200; its ETag, and the
 * thing as JSON. With «Prefer: respond-async» (RFC 7240) 202, and only which event it was.
 */
int app_respond(const struct command *command, struct outcome *outcome, struct err *err);

void app_add_etag(struct exchange *exchange, int64_t version);
void app_add_position(struct exchange *exchange, int64_t position);
/* Of what changes any time, and may be only this reader's. */
void app_add_caching(struct exchange *exchange);
/* Whether If-None-Match names this version (RFC 9110, section 13.1.2). */
/* The first version that If-None-Match names, 0 where it names none: app_not_modified holds for it. */
int64_t app_known_version(const struct exchange *exchange);
bool app_not_modified(const struct exchange *exchange, int64_t version);

/* How the exchange's actor reads; after app_database. */
struct reading app_reading(const struct exchange *exchange);

/* Whether there are no faults of the query; otherwise 422 is the answer. */
bool app_query_fits(struct exchange *exchange, const struct faults *faults);
/* ?limit= and ?cursor=, of which the text is given back; {NULL, 0} on the first page. */
void app_page(struct exchange *exchange, struct faults *faults, size_t *limit, struct str *cursor);
/* Ends a list: «,"next":…}», and Link to the same list from there on. next: what app_page is to give back, or {NULL,
 * 0}. */
void app_end_page(struct exchange *exchange, struct buf *buf, struct str next);

/* A connection to the database; false, and 503 is the answer. */
bool app_database(struct exchange *exchange);

/* One that tries something, under one limit. */
struct
try {
    struct limit limit;
    const void *who;
    size_t len;
};

/* The nearest of several limits, and what it has left. */
struct nearest {
    const struct try *try; /* NULL: there was none */
    struct allowance left;
};

/* Counts a try under each of these limits, and says so in the answer's headers; false, and 429 is the answer. */
bool app_try(struct exchange *exchange, const struct try *tries, size_t count);
/* The same in two steps, for limits that are found out one after another. Counts; false: it is too many. */
bool app_count(struct exchange *exchange, const struct try *tries, size_t count, struct nearest *nearest);
/* Says what was counted, of all tries that were. */
bool app_allow(struct exchange *exchange, const struct try *tries, size_t count, const struct nearest *nearest);
/* Who sends the request, as struct try takes it. */
struct str app_client(const struct exchange *exchange);

/* The router's: asks the database who it is. */
bool app_identify(struct exchange *exchange, const struct credentials *credentials);

/* The handlers, in their files by group. */
void articles_list(struct exchange *exchange);
void articles_get(struct exchange *exchange);
void audit_list(struct exchange *exchange);
void auth_login(struct exchange *exchange);
void auth_logout(struct exchange *exchange);
void auth_refresh(struct exchange *exchange);
void auth_whoami(struct exchange *exchange);
void commands_list(struct exchange *exchange);
void commands_send(struct exchange *exchange);
void commands_at_path(struct exchange *exchange);
void feed_get(struct exchange *exchange);
void health_live(struct exchange *exchange);
void health_ready(struct exchange *exchange);
void invitations_create(struct exchange *exchange);
void invitations_list(struct exchange *exchange);
void invitations_revoke(struct exchange *exchange);
void sessions_list(struct exchange *exchange);
void sessions_revoke(struct exchange *exchange);
void tokens_create(struct exchange *exchange);
void tokens_list(struct exchange *exchange);
void tokens_revoke(struct exchange *exchange);
void users_get(struct exchange *exchange);
void revisions_list(struct exchange *exchange);
void revisions_get(struct exchange *exchange);
void revisions_diff(struct exchange *exchange);

#endif
