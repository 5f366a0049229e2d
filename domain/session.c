/* Sessions and tokens in their tables. See session.h. */
#include "domain/session.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TRIES = 5, PAUSE_US = 20000, SECRET_BYTES = 32 };

void secret_make(const char *kind, char text[SECRET_TEXT], unsigned char hash[SHA256_SIZE])
{
    unsigned char bytes[SECRET_BYTES];
    crypt_random(bytes, sizeof bytes);
    size_t len = (size_t)snprintf(text, SECRET_TEXT, "%s_", kind);
    base64url_write(text + len, SECRET_TEXT - len, bytes, sizeof bytes);
    crypt_wipe(bytes, sizeof bytes);
    secret_hash(kind, text, hash);
}

bool secret_hash(const char *kind, const char *text, unsigned char hash[SHA256_SIZE])
{
    struct sha256 sum;
    size_t len = strlen(kind), whole = len + 1 + 43;
    if (strncmp(text, kind, len) != 0 || text[len] != '_' || strlen(text) != whole)
        return false;
    sha256_start(&sum);
    sha256_add(&sum, text, whole);
    sha256_end(&sum, hash);
    return true;
}

static int over(struct err *err)
{
    return fail(err, ERR_DENIED, "The session is over.");
}

/*
 * The name and the permissions that the user of this session has now; ERR_DENIED where it is over. kid: of the key that
 * vouches for it, which must still be there.
 */
static int find_session(struct sql *db, struct arena *arena, const char *kid, struct actor *actor, struct err *err)
{
    struct sql_rows rows;
    char now[CLOCK_TEXT];
    clock_sql(clock_now(), now);
    if (sql_select(db, arena,
                   "SELECT u.username, u.permissions FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.id "
                   "= ? AND s.user_id = ? AND s.expires_at > ? AND u.erased_at IS NULL AND EXISTS (SELECT 1 FROM "
                   "signing_keys AS k WHERE k.kid = ?)",
                   SQL_ARGS(SQL_TEXT(actor->session_id), SQL_TEXT(actor->user_id), SQL_TEXT(now), SQL_TEXT(kid)), &rows,
                   err) != 0)
        return -1;
    if (rows.count != 1)
        return over(err);
    actor->username = SQL_CELL(&rows, 0, 0).data != NULL ? SQL_CELL(&rows, 0, 0).data : "";
    actor->permissions = SQL_CELL(&rows, 0, 1).data;
    return 0;
}

/* The words that are in both. */
static const char *both(struct arena *arena, const char *permissions, const char *scopes)
{
    struct buf buf;
    const struct actor scoped = {.permissions = scopes};
    buf_init(&buf, arena);
    for (const char *at = permissions; *at != '\0';) {
        size_t len = strcspn(at, " ");
        const char *word = arena_copy(arena, at, len);
        if (word != NULL && actor_may(&scoped, word)) {
            buf_puts(&buf, buf.len > 0 ? " " : "");
            buf_puts(&buf, word);
        }
        at += len + strspn(at + len, " ");
    }
    buf_add(&buf, "", 1);
    return buf.failed ? "" : buf.data;
}

static int token_find(struct sql *db, struct arena *arena, const char *text, struct actor *actor, struct err *err)
{
    struct sql_rows rows;
    unsigned char hash[SHA256_SIZE];
    char now[CLOCK_TEXT];
    clock_sql(clock_now(), now);
    if (!secret_hash(API_TOKEN_KIND, text, hash))
        return fail(err, ERR_DENIED, "The token is not valid.");
    if (sql_select(db, arena,
                   "SELECT t.id, t.user_id, t.scopes, t.expires_at, u.username, u.permissions FROM api_tokens AS t "
                   "JOIN users AS u ON u.id = t.user_id WHERE t.hash = ? AND (t.expires_at IS NULL OR t.expires_at > "
                   "?) AND u.erased_at IS NULL",
                   SQL_ARGS(SQL_BYTES(hash, SHA256_SIZE), SQL_TEXT(now)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_DENIED, "The token is not valid.");
    struct str expires = SQL_CELL(&rows, 0, 3);
    *actor = (struct actor){.user_id = SQL_CELL(&rows, 0, 1).data,
                            .username = SQL_CELL(&rows, 0, 4).data != NULL ? SQL_CELL(&rows, 0, 4).data : "",
                            .session_id = SQL_CELL(&rows, 0, 0).data,
                            .scopes = SQL_CELL(&rows, 0, 2).data,
                            .expires = expires.data != NULL ? clock_parse(expires.data, expires.len) : INT64_MAX};
    actor->permissions = both(arena, SQL_CELL(&rows, 0, 5).data, actor->scopes);
    return 0;
}

int session_check(struct sql *db, struct arena *arena, struct actor *actor, struct err *err)
{
    struct sql_rows rows;
    char now[CLOCK_TEXT];
    clock_sql(clock_now(), now);
    if (actor->scopes == NULL)
        return find_session(db, arena, actor->kid, actor, err);
    if (sql_select(db, arena,
                   "SELECT u.permissions FROM api_tokens AS t JOIN users AS u ON u.id = t.user_id WHERE t.id = ? AND "
                   "t.user_id = ? AND (t.expires_at IS NULL OR t.expires_at > ?) AND u.erased_at IS NULL",
                   SQL_ARGS(SQL_TEXT(actor->session_id), SQL_TEXT(actor->user_id), SQL_TEXT(now)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return over(err);
    actor->permissions = both(arena, SQL_CELL(&rows, 0, 0).data, actor->scopes);
    return 0;
}

int identify(struct sql *db, struct keys *keys, struct arena *arena, const char *token, struct actor *actor,
             struct err *err)
{
    char kid[KID_TEXT];
    *actor = ANONYMOUS;
    if (strncmp(token, API_TOKEN_KIND "_", sizeof API_TOKEN_KIND) == 0)
        return token_find(db, arena, token, actor, err);
    if (!token_kid(arena, token, kid))
        return fail(err, ERR_DENIED, "The token is not valid.");
    const struct signing_key *key = keys_find(keys, db, arena, kid, err);
    if (key == NULL || token_read(arena, key, token, clock_now(), actor, err) != 0)
        return -1;
    actor->kid = arena_copy_z(arena, kid);
    return find_session(db, arena, kid, actor, err);
}

bool session_ending(const struct envelope *event, struct arena *arena, struct ending *ending)
{
    static const struct {
        const char *type, *member; /* of the data, which names the one */
        bool over, spares;
    } KINDS[] = {
        {"user.logged_out", "session_id", true, false},
        {"user.session_revoked", "session_id", true, false},
        {"user.token_revoked", "token_id", true, false},
        {"user.password_changed", NULL, true, true},
        {"user.permission_granted", NULL, false, false},
        {"user.permission_revoked", NULL, false, false},
        {"user.erased", NULL, true, false},
    };
    *ending = (struct ending){0};
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (strcmp(event->type, KINDS[i].type) != 0)
            continue;
        ending->user_id = event->stream + strlen("user-");
        ending->over = KINDS[i].over;
        if (KINDS[i].member != NULL)
            ending->session_id = json_text(arena, json_member(event->data, KINDS[i].member)).data;
        /* Only a change of one's own spares anything. */
        if (KINDS[i].spares && str_is(json_text(arena, json_member(event->metadata, "user_id")), ending->user_id))
            ending->spared = json_text(arena, json_member(event->metadata, "session_id")).data;
        return true;
    }
    return false;
}

/* Whether this very refresh was done, by a commit whose answer was lost: only it has made the next token. */
static int was_done(struct sql *db, struct arena *arena, const unsigned char *next, bool *done, struct err *err)
{
    struct sql_rows rows;
    int status = sql_select(db, arena, "SELECT 1 FROM refresh_tokens WHERE hash = ?",
                            SQL_ARGS(SQL_BYTES(next, SHA256_SIZE)), &rows, err);
    *done = rows.count > 0;
    return status;
}

/* Within a transaction, with the token's row locked. */
static int use_token(struct sql *db, struct arena *arena, const struct conf *conf, const unsigned char *hash,
                     const unsigned char *next, struct refreshed *refreshed, struct err *err)
{
    struct sql_rows rows;
    char now[CLOCK_TEXT], until[CLOCK_TEXT], since[CLOCK_TEXT];
    int64_t life = conf->auth_session_s * 1000000;
    clock_sql(clock_now(), now);
    clock_sql(clock_now() + life, until);
    clock_sql(clock_now() - life, since);
    if (sql_select(
            db, arena,
            "SELECT s.id, s.user_id, r.used, u.username, u.permissions FROM refresh_tokens AS r JOIN sessions AS "
            "s ON s.id = r.session_id JOIN users AS u ON u.id = s.user_id WHERE r.hash = ? AND s.expires_at > ? "
            "AND s.created_at + INTERVAL ? SECOND > ? AND u.erased_at IS NULL FOR UPDATE",
            SQL_ARGS(SQL_BYTES(hash, SHA256_SIZE), SQL_TEXT(now), SQL_INT(conf->auth_session_max_s), SQL_TEXT(now)),
            &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return over(err);
    *refreshed = (struct refreshed){.session_id = SQL_CELL(&rows, 0, 0).data,
                                    .user_id = SQL_CELL(&rows, 0, 1).data,
                                    .username = SQL_CELL(&rows, 0, 3).data != NULL ? SQL_CELL(&rows, 0, 3).data : "",
                                    .permissions = SQL_CELL(&rows, 0, 4).data};
    if (sql_number(SQL_CELL(&rows, 0, 2)) != 0) {
        bool done;
        if (was_done(db, arena, next, &done, err) != 0)
            return -1;
        refreshed->again = !done;
        return done ? 0 : over(err);
    }
    if (sql_exec(db, "UPDATE refresh_tokens SET used = 1 WHERE hash = ?", SQL_ARGS(SQL_BYTES(hash, SHA256_SIZE)), NULL,
                 err) != 0 ||
        sql_exec(db, "INSERT INTO refresh_tokens (hash, session_id, created_at) VALUES (?, ?, ?)",
                 SQL_ARGS(SQL_BYTES(next, SHA256_SIZE), SQL_TEXT(refreshed->session_id), SQL_TEXT(now)), NULL,
                 err) != 0 ||
        sql_exec(db, "DELETE FROM refresh_tokens WHERE session_id = ? AND used = 1 AND created_at < ?",
                 SQL_ARGS(SQL_TEXT(refreshed->session_id), SQL_TEXT(since)), NULL, err) != 0)
        return -1;
    /* A session that goes on and on has an end all the same. */
    return sql_exec(
        db, "UPDATE sessions SET used_at = ?, expires_at = LEAST(?, created_at + INTERVAL ? SECOND) WHERE id = ?",
        SQL_ARGS(SQL_TEXT(now), SQL_TEXT(until), SQL_INT(conf->auth_session_max_s), SQL_TEXT(refreshed->session_id)),
        NULL, err);
}

int session_refresh(struct sql *db, struct arena *arena, const struct conf *conf, const char *text,
                    const unsigned char next[SHA256_SIZE], struct refreshed *refreshed, struct err *err)
{
    unsigned char hash[SHA256_SIZE];
    *refreshed = (struct refreshed){0};
    if (!secret_hash(REFRESH_KIND, text, hash))
        return over(err);
    bool doubt = false;
    for (int try = 0; try < TRIES; try++) {
        if (try > 0)
            nanosleep(&(struct timespec){0, (long)PAUSE_US * 1000 << try}, NULL);
        bool used = sql_begin(db, err) == 0 && use_token(db, arena, conf, hash, next, refreshed, err) == 0;
        if (used && sql_commit(db, err) == 0)
            return 0;
        bool lost = sql_lost(db);
        doubt = doubt || (used && lost);
        sql_rollback(db);
        if (err->kind != ERR_TRANSIENT && !lost && !(doubt && err->kind == ERR_UNAVAILABLE))
            return -1;
    }
    if (doubt)
        return fail(err, ERR_UNKNOWN, "the database went away in a refresh and does not say whether it was done");
    return fail(err, ERR_UNAVAILABLE, "the database is too busy or cannot be reached");
}

int session_of_refresh(struct sql *db, struct arena *arena, const char *text, struct actor *actor, struct err *err)
{
    struct sql_rows rows;
    unsigned char hash[SHA256_SIZE];
    if (!secret_hash(REFRESH_KIND, text, hash))
        return over(err);
    if (sql_select(db, arena,
                   "SELECT s.id, s.user_id FROM refresh_tokens AS r JOIN sessions AS s ON s.id = r.session_id WHERE "
                   "r.hash = ?",
                   SQL_ARGS(SQL_BYTES(hash, SHA256_SIZE)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return over(err);
    *actor = (struct actor){
        .session_id = SQL_CELL(&rows, 0, 0).data, .user_id = SQL_CELL(&rows, 0, 1).data, .permissions = ""};
    return 0;
}

static int owner(struct sql *db, struct arena *arena, const char *text, const char *what, const char *id,
                 const char **user_id, struct err *err)
{
    struct sql_rows rows = {0};
    if (id_valid(id, strlen(id)) && sql_select(db, arena, text, SQL_ARGS(SQL_TEXT(id)), &rows, err) != 0)
        return -1;
    if (rows.count != 1)
        return fail(err, ERR_ABSENT, "There is no such %s.", what);
    *user_id = SQL_CELL(&rows, 0, 0).data;
    return 0;
}

int session_owner(struct sql *db, struct arena *arena, const char *id, const char **user_id, struct err *err)
{
    return owner(db, arena, "SELECT user_id FROM sessions WHERE id = ?", "session", id, user_id, err);
}

int token_owner(struct sql *db, struct arena *arena, const char *id, const char **user_id, struct err *err)
{
    return owner(db, arena, "SELECT user_id FROM api_tokens WHERE id = ?", "token", id, user_id, err);
}

void part_moment(struct buf *buf, const char *name, struct str cell)
{
    buf_printf(buf, ",\"%s\":", name);
    buf_moment(buf, cell.data != NULL ? clock_parse(cell.data, cell.len) : INT64_MIN);
}

struct sql_arg part_start(const struct part *part)
{
    /* No id comes behind a g. */
    return SQL_TEXT(part->before != NULL ? part->before : "g");
}

size_t part_end(struct part *part, const struct sql_rows *rows)
{
    bool more = rows->count > part->limit;
    part->next = more ? SQL_CELL(rows, part->limit - 1, 0).data : NULL;
    return more ? part->limit : rows->count;
}

int session_list(struct sql *db, const char *user_id, const char *current, struct part *part, struct buf *buf,
                 struct err *err)
{
    struct sql_rows rows;
    char now[CLOCK_TEXT];
    clock_sql(clock_now(), now);
    if (sql_select(db, buf->arena,
                   "SELECT id, agent, created_at, used_at, expires_at FROM sessions WHERE user_id = ? AND id < ? AND "
                   "expires_at > ? ORDER BY id DESC LIMIT ?",
                   SQL_ARGS(SQL_TEXT(user_id), part_start(part), SQL_TEXT(now), SQL_INT((int64_t)part->limit + 1)),
                   &rows, err) != 0)
        return -1;
    for (size_t i = 0, count = part_end(part, &rows); i < count; i++) {
        const char *id = SQL_CELL(&rows, i, 0).data;
        buf_printf(buf, "%s{\"id\":\"%s\",\"current\":%s,\"user_agent\":", i > 0 ? "," : "", id,
                   strcmp(id, current) == 0 ? "true" : "false");
        buf_json(buf, SQL_CELL(&rows, i, 1).data, SQL_CELL(&rows, i, 1).len);
        part_moment(buf, "created_at", SQL_CELL(&rows, i, 2));
        part_moment(buf, "last_used_at", SQL_CELL(&rows, i, 3));
        part_moment(buf, "expires_at", SQL_CELL(&rows, i, 4));
        buf_puts(buf, "}");
    }
    return 0;
}

int token_list(struct sql *db, const char *user_id, struct part *part, struct buf *buf, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(db, buf->arena,
                   "SELECT id, name, scopes, created_at, expires_at FROM api_tokens WHERE user_id = ? AND id < ? ORDER "
                   "BY id DESC LIMIT ?",
                   SQL_ARGS(SQL_TEXT(user_id), part_start(part), SQL_INT((int64_t)part->limit + 1)), &rows, err) != 0)
        return -1;
    for (size_t i = 0, count = part_end(part, &rows); i < count; i++) {
        buf_printf(buf, "%s{\"id\":\"%s\",\"name\":", i > 0 ? "," : "", SQL_CELL(&rows, i, 0).data);
        buf_json(buf, SQL_CELL(&rows, i, 1).data, SQL_CELL(&rows, i, 1).len);
        buf_puts(buf, ",\"scopes\":");
        buf_words(buf, SQL_CELL(&rows, i, 2).data);
        part_moment(buf, "created_at", SQL_CELL(&rows, i, 3));
        part_moment(buf, "expires_at", SQL_CELL(&rows, i, 4));
        buf_puts(buf, "}");
    }
    return 0;
}

int session_purge(struct sql *db, struct err *err)
{
    char now[CLOCK_TEXT];
    clock_sql(clock_now(), now);
    const struct sql_arg when = SQL_TEXT(now);
    return sql_exec(db, "DELETE FROM sessions WHERE expires_at < ? LIMIT 1000", &when, 1, NULL, err) != 0 ||
                   sql_exec(db, "DELETE FROM invitations WHERE expires_at < ? LIMIT 1000", &when, 1, NULL, err) != 0
               ? -1
               : 0;
}
