/* /api/auth */
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "domain/user.h"
#include "handlers/app.h"
#include "http/token.h"

#include <inttypes.h>
#include <string.h>

static const struct field LOGIN[] = {
    {.name = "username", .type = FIELD_TEXT, .required = true, .least = 1, .most = 254},
    {.name = "password", .type = FIELD_TEXT, .required = true, .least = 1, .most = 256},
};

static void add_user(struct buf *buf, const struct actor *actor)
{
    buf_printf(buf, "{\"id\":\"%s\",\"username\":", actor->user_id);
    buf_json_z(buf, actor->username);
    buf_puts(buf, ",\"permissions\":");
    buf_words(buf, actor->permissions);
    buf_puts(buf, "}");
}

/*
 * Verifies against a hash even where there is no such user, so that the time of an answer does not tell. The first
 * unknown name makes it, with the parameters in force.
 */
static bool verify(const struct app *app, const struct user *user, struct str password)
{
    static char nobody[PASSWORD_HASH_SIZE];
    struct err err;
    if (user != NULL)
        return password_matches(password.data, password.len, user->password_hash);
    if (nobody[0] == '\0' && password_hash("nobody", 6, (unsigned long long)app->conf->auth_argon2_ops,
                                           (size_t)app->conf->auth_argon2_memory, nobody, &err) != 0)
        return false;
    password_matches(password.data, password.len, nobody);
    return false;
}

/* A new hash where the one there is was made with other parameters; NULL otherwise. */
static const char *rehash(const struct app *app, struct arena *arena, const struct user *user, struct str password)
{
    struct err err;
    unsigned long long ops = (unsigned long long)app->conf->auth_argon2_ops;
    size_t memory = (size_t)app->conf->auth_argon2_memory;
    char *hash = arena_alloc(arena, PASSWORD_HASH_SIZE);
    if (hash == NULL || !password_outdated(user->password_hash, ops, memory) ||
        password_hash(password.data, password.len, ops, memory, hash, &err) != 0)
        return NULL;
    return hash;
}

static void send_session(struct exchange *exchange, const struct actor *actor, int64_t now)
{
    struct app *app = app_of(exchange);
    struct buf buf;
    const char *token = token_make(exchange->arena, app->conf->auth_secret, actor, now);
    buf_init(&buf, exchange->arena);
    buf_printf(&buf, "{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%" PRId64 ",\"user\":",
               token != NULL ? token : "", app->conf->auth_token_s);
    add_user(&buf, actor);
    buf_puts(&buf, "}");
    http_set_access_cookie(exchange->response, exchange->request, token != NULL ? token : "", app->conf->auth_token_s);
    http_add_header(exchange->response, "Cache-Control", "no-store");
    http_send_json(exchange->response, 200, buf_str(&buf));
}

static void begin_session(struct exchange *exchange, const struct user *user, struct str password)
{
    char session[ID_TEXT];
    int64_t now = clock_now();
    struct app *app = app_of(exchange);
    id_new(session);
    struct actor actor = {.user_id = user->id,
                          .username = user->username,
                          .session_id = session,
                          .permissions = user->permissions,
                          .expires = now + app->conf->auth_token_s * 1000000};
    struct json_object *payload = json_object_new_object();
    struct command command = {.type = &LOG_IN,
                              .payload = payload,
                              .actor = &actor,
                              .target = user->id,
                              .expected = NO_VERSION,
                              .aside = rehash(app, exchange->arena, user, password)};
    if (app_dispatch(exchange, &command))
        send_session(exchange, &actor, now);
    json_object_put(payload);
}

static void log_in(struct exchange *exchange, struct json_object *payload)
{
    struct app *app = app_of(exchange);
    struct faults faults = {0};
    struct user user;
    struct err err;
    if (!schema_check(LOGIN, 2, app->conf, payload, exchange->arena, &faults)) {
        http_send_problem(exchange->response, exchange->request, 422,
                          "The request has faults; errors names each of them.", &faults);
        return;
    }
    if (!app_database(exchange))
        return;
    struct str password = json_string(payload, "password");
    bool found = user_find(app->db, exchange->arena, json_string(payload, "username").data, &user, &err) == 0;
    if (!found && err.kind != ERR_ABSENT)
        http_send_error(exchange->response, exchange->request, &err, NULL);
    else if (!verify(app, found ? &user : NULL, password))
        http_send_unauthorized(exchange->response, exchange->request, "The name or the password is wrong.");
    else
        begin_session(exchange, &user, password);
}

void auth_login(struct exchange *exchange)
{
    struct json_object *payload = app_read_json(exchange);
    if (payload != NULL)
        log_in(exchange, payload);
    json_object_put(payload);
}

void auth_whoami(struct exchange *exchange)
{
    struct buf buf;
    buf_init(&buf, exchange->arena);
    add_user(&buf, &exchange->actor);
    http_add_header(exchange->response, "Cache-Control", "no-store");
    http_send_json(exchange->response, 200, buf_str(&buf));
}
