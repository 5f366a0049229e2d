/* Records of answers. See idempotency.h. */
#include "events/idempotency.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t LIFE_US = (int64_t)24 * 3600 * 1000000;

bool idempotency_key_valid(const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < len; i++)
        if (key[i] <= ' ' || key[i] > '~')
            return false;
    return len >= 1 && len <= IDEMPOTENCY_KEY_MOST;
}

static bool is_secret(const char *name)
{
    return strstr(name, "password") != NULL;
}

int idempotency_prepare(struct command *command, struct err *err)
{
    struct sha256 hash;
    unsigned char salt[SHA256_SIZE], data[SHA256_SIZE];
    if (!command->type->secrets || command->idempotency_key == NULL || command->secrets_known)
        return 0;
    sha256_start(&hash);
    sha256_add(&hash, command->type->name, strlen(command->type->name) + 1);
    sha256_add(&hash, command->idempotency_key, strlen(command->idempotency_key));
    sha256_end(&hash, salt);
    sha256_start(&hash);
    json_object_object_foreach(command->payload, name, value)
    {
        const char *text = is_secret(name) ? json_object_get_string(value) : NULL;
        if (text == NULL)
            continue;
        sha256_add(&hash, name, strlen(name) + 1);
        sha256_add(&hash, text, strlen(text) + 1);
    }
    sha256_end(&hash, data);
    int status = password_digest(data, salt, (unsigned long long)command->conf->auth_argon2_ops,
                                 (size_t)command->conf->auth_argon2_memory, command->secrets, err);
    crypt_wipe(data, sizeof data);
    crypt_wipe(&hash, sizeof hash);
    command->secrets_known = status == 0;
    return status;
}

/* A quick digest of a password would be a password that is easily guessed. */
static void add_open_members(struct sha256 *hash, struct json_object *payload)
{
    json_object_object_foreach(payload, name, value)
    {
        if (is_secret(name))
            continue;
        const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
        sha256_add(hash, name, strlen(name) + 1);
        sha256_add(hash, text, strlen(text) + 1);
    }
}

/* What the key stands for: the command, the thing it is about, the version it was seen at, and the request's bytes. */
static void digest_of(const struct command *command, unsigned char digest[SHA256_SIZE])
{
    struct sha256 hash;
    const char *target = command->subject != NULL ? command->subject : command->target != NULL ? command->target : "";
    char expected[32];
    int len = snprintf(expected, sizeof expected, "%lld", (long long)command->expected);
    sha256_start(&hash);
    sha256_add(&hash, command->type->name, strlen(command->type->name) + 1);
    sha256_add(&hash, target, strlen(target) + 1);
    sha256_add(&hash, expected, (size_t)len + 1);
    if (command->type->secrets) {
        add_open_members(&hash, command->payload);
        sha256_add(&hash, command->secrets, sizeof command->secrets);
    } else {
        sha256_add(&hash, command->request.data, command->request.len);
    }
    sha256_end(&hash, digest);
}

/* In direct mode there is no event to ask for after a lost commit, so a command without a key has a record of its own.
 */
static const char *key_of(const struct command *command)
{
    return command->idempotency_key != NULL ? command->idempotency_key : command->event_ids[0];
}

/* Whose the key is; of nobody with an account the address, as digits without dashes, which are no user's id. */
static const char *actor_of(const struct command *command)
{
    struct sha256 hash;
    unsigned char digest[SHA256_SIZE];
    if (command->idempotency_key == NULL)
        return "";
    if (command->actor->user_id != NULL)
        return command->actor->user_id;
    sha256_start(&hash);
    if (command->client.len > 0)
        sha256_add(&hash, command->client.data, command->client.len);
    sha256_end(&hash, digest);
    char *text = arena_alloc(command->arena, ID_TEXT);
    if (text == NULL)
        return ""; /* the arena says so, and the command is refused */
    hex_encode(digest, (ID_TEXT - 1) / 2, text);
    return text;
}

static void expiry(char text[CLOCK_TEXT])
{
    clock_sql(clock_now() - LIFE_US, text);
}

int idempotency_find(struct sql *db, struct command *command, struct outcome *outcome, struct err *err)
{
    struct sql_rows rows;
    unsigned char digest[SHA256_SIZE];
    char since[CLOCK_TEXT];
    expiry(since);
    if (sql_select(db, command->arena,
                   "SELECT c.digest, c.status, c.headers, c.body, "
                   "COALESCE(e.position, 0) FROM commands AS c "
                   "LEFT JOIN events AS e ON e.id = c.event_id "
                   "WHERE c.actor = ? AND c.idempotency_key = ? AND c.created_at > ?",
                   SQL_ARGS(SQL_TEXT(actor_of(command)), SQL_TEXT(key_of(command)), SQL_TEXT(since)), &rows, err) != 0)
        return -1;
    if (rows.count == 0)
        return 0;
    if (idempotency_prepare(command, err) != 0)
        return -1;
    digest_of(command, digest);
    if (SQL_CELL(&rows, 0, 0).len != SHA256_SIZE || memcmp(SQL_CELL(&rows, 0, 0).data, digest, SHA256_SIZE) != 0)
        return fail(err, ERR_INVALID, "This Idempotency-Key was used for another request.");
    *outcome = (struct outcome){.position = sql_number(SQL_CELL(&rows, 0, 4)),
                                .replayed = command->idempotency_key != NULL,
                                .reply = {.status = (int)sql_number(SQL_CELL(&rows, 0, 1)),
                                          .headers = SQL_CELL(&rows, 0, 2),
                                          .body = SQL_CELL(&rows, 0, 3)}};
    return 1;
}

/* Empty where nobody waits for a reply. */
static struct sql_arg reply_text(struct str text)
{
    return SQL_STR(text.data != NULL ? text : STR(""));
}

/* Whose name or address the answer shows; "" for nobody's. */
static const char *about_of(const struct command *command, const struct outcome *outcome)
{
    const struct read_model *model = command->type->model;
    const char *user = outcome->reply.body.len > 0 && model->about != NULL && outcome->state != NULL
                           ? model->about(outcome->state, command->actor)
                           : NULL;
    return user != NULL ? user : "";
}

void idempotency_add(struct sql_batch *batch, const struct command *command, const struct outcome *outcome, bool logged)
{
    unsigned char *digest = arena_alloc(command->arena, SHA256_SIZE);
    char *since = arena_alloc(command->arena, CLOCK_TEXT);
    if (digest == NULL || since == NULL)
        return; /* the arena says so, and the command is refused */
    digest_of(command, digest);
    expiry(since);
    const char *about = about_of(command, outcome);
    if (about[0] != '\0')
        sql_batch_add(batch,
                      "IF EXISTS (SELECT 1 FROM users WHERE id = ? AND erased_at IS NOT NULL LOCK IN SHARE MODE) THEN "
                      "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'erased'; END IF",
                      SQL_ARGS(SQL_TEXT(about)));
    sql_batch_add(batch, "DELETE FROM commands WHERE actor = ? AND idempotency_key = ? AND created_at <= ?",
                  SQL_ARGS(SQL_TEXT(actor_of(command)), SQL_TEXT(key_of(command)), SQL_TEXT(since)));
    /* What left no event is as of the last one that there was. */
    sql_batch_add(batch,
                  logged ? "INSERT INTO commands (actor, idempotency_key, digest, event_id, status, headers, body, "
                           "about, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                         : "INSERT INTO commands (actor, idempotency_key, digest, event_id, status, headers, body, "
                           "about, created_at) VALUES (?, ?, ?, COALESCE((SELECT id FROM events WHERE position = ?), "
                           "''), ?, ?, ?, ?, ?)",
                  SQL_ARGS(SQL_TEXT(actor_of(command)), SQL_TEXT(key_of(command)), SQL_BYTES(digest, SHA256_SIZE),
                           logged ? SQL_TEXT(outcome->events[outcome->count - 1].id) : SQL_INT(outcome->position),
                           SQL_INT(outcome->reply.status), reply_text(outcome->reply.headers),
                           reply_text(outcome->reply.body), SQL_TEXT(about), sql_moment(batch, command->now)));
}

void idempotency_forget(struct sql_batch *batch, const char *user_id)
{
    const struct sql_arg user = SQL_TEXT(user_id);
    sql_batch_add(batch, "DELETE FROM commands WHERE actor = ?", &user, 1);
    sql_batch_add(batch, "DELETE FROM commands WHERE about = ?", &user, 1);
}

int idempotency_purge(struct sql *db, struct err *err)
{
    char since[CLOCK_TEXT];
    expiry(since);
    return sql_exec(db, "DELETE FROM commands WHERE created_at <= ? ORDER BY created_at LIMIT 1000",
                    SQL_ARGS(SQL_TEXT(since)), NULL, err);
}
