/* /api/auth */
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/fold.h"
#include "base/json.h"
#include "domain/session.h"
#include "handlers/app.h"
#include "http/token.h"

#include <inttypes.h>
#include <string.h>

static const struct field LOGIN[] = {
    {.name = "username", .type = FIELD_TEXT, .required = true, .least = 1, .most = 254},
    {.name = "password", .type = FIELD_TEXT, .required = true, .least = 1, .most = 256},
    {.name = "cookies", .type = FIELD_FLAG},
};

static const struct field REFRESH[] = {
    {.name = "refresh_token", .type = FIELD_TEXT, .least = 1, .most = 64},
};

static void add_user(struct buf *buf, const struct actor *actor)
{
    buf_printf(buf, "{\"id\":\"%s\",\"username\":", actor->user_id);
    buf_json_z(buf, actor->username);
    buf_puts(buf, ",\"permissions\":");
    buf_words(buf, actor->permissions);
    buf_puts(buf, "}");
}

/* A new hash where the one there is was made with other parameters; NULL otherwise. */
static const char *rehash(const struct app *app, struct arena *arena, const char *old, struct str password)
{
    struct err err;
    unsigned long long ops = (unsigned long long)app->conf->auth_argon2_ops;
    size_t memory = (size_t)app->conf->auth_argon2_memory;
    char *hash = arena_alloc(arena, PASSWORD_HASH_SIZE);
    if (hash == NULL || !password_outdated(old, ops, memory) ||
        password_hash(password.data, password.len, ops, memory, hash, &err) != 0)
        return NULL;
    return hash;
}

/* The key that signs: found before anything is changed, for a failure then must not say that nothing was. */
static const struct signing_key *find_key(struct exchange *exchange)
{
    struct err err;
    struct app *app = app_of(exchange);
    const struct signing_key *key = keys_newest(app->keys, app->db, exchange->arena, &err);
    if (key == NULL)
        http_send_error(exchange->response, exchange->request, &err, NULL);
    return key;
}

/*
 * What begins or goes on: in cookies, which scripts do not see, or in the body for a client that is no browser. The
 * access token is in the body in either case, for those few minutes.
 */
static void send_session(struct exchange *exchange, const struct signing_key *key, const struct actor *actor,
                         const char *refresh, bool cookies)
{
    struct app *app = app_of(exchange);
    struct buf buf;
    const char *token = token_make(exchange->arena, key, actor, clock_now());
    if (token == NULL)
        token = "";
    buf_init(&buf, exchange->arena);
    buf_printf(&buf, "{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%" PRId64, token,
               app->conf->auth_token_s);
    if (!cookies)
        buf_printf(&buf, ",\"refresh_token\":\"%s\"", refresh);
    buf_puts(&buf, ",\"user\":");
    add_user(&buf, actor);
    buf_puts(&buf, "}");
    if (cookies) {
        http_set_own_cookie(exchange->response, exchange->request, ACCESS_COOKIE, token, app->conf->auth_token_s);
        http_set_own_cookie(exchange->response, exchange->request, REFRESH_COOKIE, refresh, app->conf->auth_session_s);
    }
    http_add_header(exchange->response, "Cache-Control", "no-store");
    http_send_json(exchange->response, 200, buf_str(&buf));
}

/* What the client calls itself, as much of it as a session's row takes. */
static const char *agent_of(const struct exchange *exchange)
{
    enum { AGENT_MOST = 200 };
    const char *agent = http_header(exchange->request, "user-agent");
    size_t len = agent != NULL ? strlen(agent) : 0;
    if (len == 0 || !utf8_valid(agent, len))
        return "";
    for (size_t characters = 0, i = 0; i < len; i++)
        if (((unsigned char)agent[i] & 0xc0) != 0x80 && ++characters > AGENT_MOST)
            len = i;
    const char *copy = arena_copy(exchange->arena, agent, len);
    return copy != NULL ? copy : "";
}

static bool wants_cookies(struct json_object *payload)
{
    struct json_object *cookies = json_object_object_get(payload, "cookies");
    return cookies == NULL || json_object_get_boolean(cookies);
}

static void begin_session(struct exchange *exchange, const struct user *user, const char *hash,
                          struct json_object *payload)
{
    char session[ID_TEXT], refresh[SECRET_TEXT];
    struct app *app = app_of(exchange);
    struct login login = {.verified = hash,
                          .password_hash = rehash(app, exchange->arena, hash, json_string(payload, "password")),
                          .agent = agent_of(exchange)};
    id_new(session);
    secret_make(REFRESH_KIND, refresh, login.refresh);
    struct actor actor = {.user_id = user->id,
                          .username = user->username,
                          .session_id = session,
                          .permissions = user->permissions,
                          .expires = clock_now() + app->conf->auth_token_s * 1000000};
    struct json_object *nothing = json_object_new_object();
    struct command command = {.type = &LOG_IN,
                              .payload = nothing,
                              .actor = &actor,
                              .target = user->id,
                              .expected = NO_VERSION,
                              .aside = &login};
    const struct signing_key *key = find_key(exchange);
    if (key != NULL && app_dispatch(exchange, &command))
        send_session(exchange, key, &actor, refresh, wants_cookies(payload));
    json_object_put(nothing);
    crypt_wipe(refresh, sizeof refresh);
}

static bool payload_fits(struct exchange *exchange, const struct field *fields, size_t count,
                         struct json_object *payload)
{
    struct faults faults = {0};
    if (schema_check(fields, count, app_of(exchange)->conf, payload, exchange->arena, &faults))
        return true;
    http_send_problem(exchange->response, exchange->request, 422, "The request has faults; errors names each of them.",
                      &faults);
    return false;
}

/* Who may log in under a name: the user and what the password is compared with, or neither; -1: it cannot be said. */
struct holder {
    struct user user;
    const char *hash; /* NULL: there is none */
};

static int find_holder(struct exchange *exchange, const char *name, struct holder *holder, struct err *err)
{
    struct app *app = app_of(exchange);
    if (app->db == NULL && sql_open(&app->db, app->conf, err) != 0)
        return -1;
    if (user_find(app->db, exchange->arena, name, &holder->user, &holder->hash, err) == 0)
        return 0;
    *holder = (struct holder){0};
    return err->kind == ERR_ABSENT ? 0 : -1;
}

/*
 * Whether this is the password. Tries count for the name that was given, before anything is asked, and for the account
 * that has it, so that it has no more of them under its other name; 1 yes, 0 no or too many, -1 it could not be tried.
 */
static int try_password(struct exchange *exchange, struct str name, struct str password, struct holder *holder,
                        struct err *err)
{
    const struct conf *conf = app_of(exchange)->conf;
    struct throttle *throttle = app_of(exchange)->throttle;
    struct str folded = fold_of(exchange->arena, name), client = app_client(exchange);
    struct try tries[] = {{{"login-account", conf->throttle_login_account, 60}, folded.data, folded.len},
                          {{"login-address", conf->throttle_login_address, 60}, client.data, client.len},
                          {{"login-account", conf->throttle_login_account, 60}, NULL, ID_TEXT - 1}};
    struct nearest nearest = {0}, unsaid = {0};
    bool may = app_count(exchange, tries, 2, &nearest);
    int status = may ? find_holder(exchange, name.data, holder, err) : 0;
    if (!app_allow(exchange, tries, 2, &nearest))
        return 0;
    /* That two names are of one account is said to nobody: beyond its tries nothing is the password. */
    tries[2].who = holder->user.id;
    if (status == 0 && !app_count(exchange, &tries[2], 1, &unsaid)) {
        holder->hash = NULL;
        tries[2].who = NULL; /* nothing was taken of it, so nothing is given back */
    }
    int right = status == 0
                    ? password_check(password.data, password.len, holder->hash,
                                     (unsigned long long)conf->auth_argon2_ops, (size_t)conf->auth_argon2_memory, err)
                    : -1;
    /* What could not be tried is no failure either. */
    for (size_t i = 0; i < 3 && right != 0; i += 2)
        throttle_give_back(throttle, &tries[i].limit, tries[i].who, tries[i].len);
    if (right == 0)
        http_send_unauthorized(exchange->response, exchange->request, "The name or the password is wrong.");
    return right;
}

/* Whether nobody on the way reads the cookies, or the site takes that; otherwise 422 is the answer. */
static bool may_set_cookies(struct exchange *exchange, const char *pointer)
{
    struct faults faults = {0};
    if (http_cookies_are_private(exchange->request) ||
        strcmp(app_of(exchange)->conf->http_insecure_cookies, "yes") == 0)
        return true;
    fault_add(&faults, pointer,
              "must do without cookies: everybody on the way could read them. Ask by https (the server's "
              "http.trusted_proxies names a proxy that ends it), or send \"cookies\": false to log in");
    http_send_problem(exchange->response, exchange->request, 422, "Cookies are not sent over plain http.", &faults);
    return false;
}

static void log_in(struct exchange *exchange, struct json_object *payload)
{
    struct holder holder = {0};
    struct err err;
    if (!payload_fits(exchange, LOGIN, sizeof LOGIN / sizeof LOGIN[0], payload) ||
        (wants_cookies(payload) && !may_set_cookies(exchange, "/cookies")))
        return;
    int right =
        try_password(exchange, json_string(payload, "username"), json_string(payload, "password"), &holder, &err);
    if (right < 0)
        http_send_error(exchange->response, exchange->request, &err, NULL);
    else if (right > 0)
        begin_session(exchange, &holder.user, holder.hash, payload);
}

void auth_login(struct exchange *exchange)
{
    struct json_object *payload = app_without_key(exchange) ? app_read_json(exchange) : NULL;
    if (payload != NULL)
        log_in(exchange, payload);
    json_object_put(payload);
}

/* Ends a session by a command of its user's. False, and the problem is the answer. */
static bool end_session(struct exchange *exchange, struct command *command, const char *user_id)
{
    command->payload = json_object_new_object();
    command->target = user_id;
    bool done = app_dispatch(exchange, command);
    json_object_put(command->payload);
    return done;
}

/* A refresh token that was used before: two have had it. Whoever comes second, the session ends. */
static void end_shared(struct exchange *exchange, const struct refreshed *refreshed)
{
    const struct actor actor = {.user_id = refreshed->user_id, .session_id = refreshed->session_id, .permissions = ""};
    struct command command = {
        .type = &REVOKE_SESSION, .actor = &actor, .expected = NO_VERSION, .aside = refreshed->session_id};
    if (!end_session(exchange, &command, refreshed->user_id))
        return;
    http_send_unauthorized(exchange->response, exchange->request,
                           "The refresh token was used before: the session is over.");
}

static void refresh_with(struct exchange *exchange, const char *token, bool cookies)
{
    struct app *app = app_of(exchange);
    struct refreshed refreshed;
    char next[SECRET_TEXT];
    unsigned char hash[SHA256_SIZE];
    struct err err;
    const struct signing_key *key = find_key(exchange);
    if (key == NULL)
        return;
    secret_make(REFRESH_KIND, next, hash);
    int status = session_refresh(app->db, exchange->arena, app->conf, token, hash, &refreshed, &err);
    const struct actor actor = {.user_id = refreshed.user_id,
                                .username = refreshed.username,
                                .session_id = refreshed.session_id,
                                .permissions = refreshed.permissions,
                                .expires = clock_now() + app->conf->auth_token_s * 1000000};
    if (status == 0)
        send_session(exchange, key, &actor, next, cookies);
    else if (refreshed.again)
        end_shared(exchange, &refreshed);
    else if (err.kind == ERR_DENIED)
        http_send_unauthorized(exchange->response, exchange->request, err.text);
    else
        http_send_error(exchange->response, exchange->request, &err, NULL);
    if (exchange->response->status == 401 && cookies)
        http_drop_cookies(exchange->response, exchange->request);
    crypt_wipe(next, sizeof next);
}

/* Whether what a cookie vouches for was sent by this site; otherwise 403 is the answer. */
static bool from_here(struct exchange *exchange)
{
    if (http_same_origin(exchange->request))
        return true;
    http_send_problem(exchange->response, exchange->request, 403,
                      "A change that a cookie vouches for must come from this site.", NULL);
    return false;
}

void auth_refresh(struct exchange *exchange)
{
    const char *cookie = http_own_cookie(exchange->request, REFRESH_COOKIE);
    struct json_object *payload = NULL;
    if (!app_without_key(exchange))
        return;
    if (exchange->request->body.len > 0 && (payload = app_read_json(exchange)) == NULL)
        return;
    const char *token = payload != NULL ? json_string(payload, "refresh_token").data : NULL;
    if (payload != NULL && !payload_fits(exchange, REFRESH, 1, payload))
        ;
    else if (token == NULL && cookie != NULL && !from_here(exchange))
        ;
    else if (token == NULL && cookie == NULL)
        http_send_unauthorized(exchange->response, exchange->request, "This call needs a refresh token.");
    else if ((token != NULL || may_set_cookies(exchange, "")) && app_database(exchange))
        refresh_with(exchange, token != NULL ? token : cookie, token == NULL);
    json_object_put(payload);
}

/* The session that a refresh token in the body is of: an access token that lives is not needed to end one. */
static bool named_session(struct exchange *exchange, const char *token)
{
    struct err err;
    if (!app_database(exchange))
        return false;
    if (session_of_refresh(app_of(exchange)->db, exchange->arena, token, &exchange->actor, &err) == 0)
        return true;
    if (err.kind == ERR_DENIED)
        http_send_unauthorized(exchange->response, exchange->request, err.text);
    else
        http_send_error(exchange->response, exchange->request, &err, NULL);
    return false;
}

/* The same of the refresh cookie, unless the request says itself who sends it; else that of its credentials. */
static bool own_session(struct exchange *exchange)
{
    struct err err;
    const struct http_request *request = exchange->request;
    bool bearer = http_header(request, "authorization") != NULL;
    const char *cookie = bearer ? NULL : http_own_cookie(request, REFRESH_COOKIE);
    if (cookie == NULL)
        return router_admit(exchange, ROUTE_SESSION);
    if (!from_here(exchange) || !app_database(exchange))
        return false;
    if (session_of_refresh(app_of(exchange)->db, exchange->arena, cookie, &exchange->actor, &err) == 0)
        return true;
    if (err.kind != ERR_DENIED) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return false;
    }
    bool admitted = router_admit(exchange, ROUTE_SESSION);
    if (!admitted && exchange->response->status == 401)
        http_set_own_cookie(exchange->response, request, REFRESH_COOKIE, "", 0);
    return admitted;
}

void auth_logout(struct exchange *exchange)
{
    struct json_object *payload = NULL;
    if (exchange->request->body.len > 0 && (payload = app_read_json(exchange)) == NULL)
        return;
    const char *token = payload != NULL ? json_string(payload, "refresh_token").data : NULL;
    bool fits = payload == NULL || payload_fits(exchange, REFRESH, 1, payload);
    if (fits && (token != NULL ? named_session(exchange, token) : own_session(exchange))) {
        struct command command = {
            .type = &LOG_OUT, .expected = NO_VERSION, .aside = exchange->actor.session_id, .respond = app_respond};
        if (end_session(exchange, &command, exchange->actor.user_id))
            http_drop_cookies(exchange->response, exchange->request);
    }
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

void sessions_revoke(struct exchange *exchange)
{
    struct app *app = app_of(exchange);
    const char *owner = NULL;
    struct err err;
    struct command command = {.type = &REVOKE_SESSION,
                              .expected = NO_VERSION,
                              .subject = exchange->id,
                              .aside = exchange->id,
                              .respond = app_respond};
    if (!app_database(exchange) || app_repeated(exchange, &command))
        return;
    int status = session_owner(app->db, exchange->arena, exchange->id, &owner, &err);
    if (status == 0 && strcmp(owner, exchange->actor.user_id) != 0 && !actor_may(&exchange->actor, "user_admin"))
        status = fail(&err, ERR_ABSENT, "There is no such session.");
    if (status != 0)
        http_send_error(exchange->response, exchange->request, &err, NULL);
    else
        end_session(exchange, &command, owner);
}
