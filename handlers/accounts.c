/* /api/users, and the lists of /api/auth. What changes accounts is in commands.c and auth.c. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "domain/session.h"
#include "handlers/app.h"

#include <inttypes.h>
#include <string.h>

static void send(struct exchange *exchange, int status, const struct buf *buf)
{
    http_add_header(exchange->response, "Cache-Control", "no-store");
    http_send_json(exchange->response, status, buf_str(buf));
}

void users_get(struct exchange *exchange)
{
    struct app *app = app_of(exchange);
    struct user user;
    struct err err;
    struct buf buf;
    if (!app_database(exchange))
        return;
    if (user_find_id(app->db, exchange->arena, exchange->id, &exchange->actor, &user, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    app_add_etag(exchange, user.version);
    if (app_not_modified(exchange, user.version)) {
        http_add_header(exchange->response, "Cache-Control", "no-store");
        exchange->response->status = 304;
        return;
    }
    buf_init(&buf, exchange->arena);
    USERS.json(&buf, &user, &exchange->actor);
    send(exchange, 200, &buf);
}

static bool read_part(struct exchange *exchange, struct part *part)
{
    struct faults faults = {0};
    struct str cursor;
    app_page(exchange, &faults, &part->limit, &cursor);
    part->before = cursor.data;
    if (cursor.data != NULL && !id_valid(cursor.data, cursor.len))
        fault_add(&faults, "?cursor", "is not a cursor that this list has given");
    return app_query_fits(exchange, &faults);
}

static void send_list(struct exchange *exchange,
                      int (*list)(struct exchange *exchange, struct part *part, struct buf *buf, struct err *err))
{
    struct buf buf;
    struct err err;
    struct part part = {0};
    if (!read_part(exchange, &part) || !app_database(exchange))
        return;
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "{\"items\":[");
    if (list(exchange, &part, &buf, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    buf_puts(&buf, "]");
    app_end_page(exchange, &buf, part.next != NULL ? str_of(part.next) : (struct str){NULL, 0});
    send(exchange, 200, &buf);
}

/* The actor's own, or of whom the query names, for user_admin. NULL: there is no such user for this reader. */
static const char *whose(struct exchange *exchange, struct err *err)
{
    struct user user;
    const char *id = http_query(exchange->request, "user");
    if (id != NULL && user_find_id(app_of(exchange)->db, exchange->arena, id, &exchange->actor, &user, err) != 0)
        return NULL;
    return id != NULL ? id : exchange->actor.user_id;
}

static int list_sessions(struct exchange *exchange, struct part *part, struct buf *buf, struct err *err)
{
    const char *id = whose(exchange, err);
    return id != NULL ? session_list(app_of(exchange)->db, id, exchange->actor.session_id, part, buf, err) : -1;
}

static int list_tokens(struct exchange *exchange, struct part *part, struct buf *buf, struct err *err)
{
    const char *id = whose(exchange, err);
    return id != NULL ? token_list(app_of(exchange)->db, id, part, buf, err) : -1;
}

static int list_invitations(struct exchange *exchange, struct part *part, struct buf *buf, struct err *err)
{
    if (!user_administers(&exchange->actor))
        return fail(err, ERR_DENIED, "Only user_admin sees invitations.");
    return invitation_list(app_of(exchange)->db, part, buf, err);
}

void invitations_list(struct exchange *exchange)
{
    send_list(exchange, list_invitations);
}

void sessions_list(struct exchange *exchange)
{
    send_list(exchange, list_sessions);
}

void tokens_list(struct exchange *exchange)
{
    send_list(exchange, list_tokens);
}

/* A command of the actor's own account, without an answer of its own. False, and the problem is the answer. */
static bool dispatch_own(struct exchange *exchange, const struct command_type *type, struct json_object *payload,
                         const void *aside)
{
    struct command command = {
        .type = type, .payload = payload, .target = exchange->actor.user_id, .expected = NO_VERSION, .aside = aside};
    return app_dispatch(exchange, &command);
}

/* As it was stored: from the moment of the command. */
static void add_end(const struct exchange *exchange, struct buf *buf, struct json_object *payload, int64_t standard)
{
    int64_t now = app_of(exchange)->committed.events[0].recorded_at;
    struct json_object *life = json_object_object_get(payload, "expires_in");
    int64_t seconds = life != NULL ? json_object_get_int64(life) : standard;
    buf_puts(buf, ",\"expires_at\":");
    buf_moment(buf, seconds > 0 ? now + seconds * 1000000 : INT64_MIN);
    buf_puts(buf, "}");
}

/* The only time that the token is shown. */
static void send_token(struct exchange *exchange, struct json_object *payload, const char *token)
{
    struct buf buf;
    const char *id = app_of(exchange)->committed.events[0].id;
    struct str name = json_string(payload, "name");
    buf_init(&buf, exchange->arena);
    buf_printf(&buf, "{\"id\":\"%s\",\"token\":\"%s\",\"name\":", id, token);
    buf_json(&buf, name.data, name.len);
    buf_printf(&buf, ",\"scopes\":%s",
               json_object_to_json_string_ext(json_object_object_get(payload, "scopes"), JSON_C_TO_STRING_PLAIN));
    add_end(exchange, &buf, payload, 0);
    send(exchange, 201, &buf);
}

void tokens_create(struct exchange *exchange)
{
    char token[SECRET_TEXT];
    unsigned char hash[SHA256_SIZE];
    struct json_object *payload = app_without_key(exchange) ? app_read_json(exchange) : NULL;
    if (payload == NULL)
        return;
    secret_make(API_TOKEN_KIND, token, hash);
    if (dispatch_own(exchange, &CREATE_TOKEN, payload, hash))
        send_token(exchange, payload, token);
    crypt_wipe(token, sizeof token);
    json_object_put(payload);
}

void tokens_revoke(struct exchange *exchange)
{
    struct app *app = app_of(exchange);
    const char *owner = NULL;
    struct err err;
    struct command command = {.type = &REVOKE_TOKEN,
                              .subject = exchange->id,
                              .expected = NO_VERSION,
                              .aside = exchange->id,
                              .respond = app_respond};
    if (!app_database(exchange) || app_repeated(exchange, &command))
        return;
    int status = token_owner(app->db, exchange->arena, exchange->id, &owner, &err);
    if (status == 0 && strcmp(owner, exchange->actor.user_id) != 0 && !actor_may(&exchange->actor, "user_admin"))
        status = fail(&err, ERR_ABSENT, "There is no such token.");
    if (status != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    command.target = owner;
    command.payload = json_object_new_object();
    app_dispatch(exchange, &command);
    json_object_put(command.payload);
}

void invitations_create(struct exchange *exchange)
{
    char invitation[SECRET_TEXT];
    unsigned char hash[SHA256_SIZE];
    struct buf buf;
    if (!app_without_key(exchange))
        return;
    struct json_object *payload = exchange->request->body.len > 0 ? app_read_json(exchange) : json_object_new_object();
    if (payload == NULL)
        return;
    secret_make(INVITATION_KIND, invitation, hash);
    if (dispatch_own(exchange, &CREATE_INVITATION, payload, hash)) {
        buf_init(&buf, exchange->arena);
        buf_printf(&buf, "{\"id\":\"%s\",\"invitation\":\"%s\"", app_of(exchange)->committed.events[0].id, invitation);
        add_end(exchange, &buf, payload, INVITATION_S);
        send(exchange, 201, &buf);
    }
    crypt_wipe(invitation, sizeof invitation);
    json_object_put(payload);
}

void invitations_revoke(struct exchange *exchange)
{
    struct app *app = app_of(exchange);
    struct err err;
    struct command command = {.type = &REVOKE_INVITATION,
                              .target = exchange->actor.user_id,
                              .subject = exchange->id,
                              .expected = NO_VERSION,
                              .aside = exchange->id,
                              .respond = app_respond};
    if (!app_database(exchange) || app_repeated(exchange, &command))
        return;
    if (user_administers(&exchange->actor) && invitation_find(app->db, exchange->arena, exchange->id, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    command.payload = json_object_new_object();
    app_dispatch(exchange, &command);
    json_object_put(command.payload);
}
