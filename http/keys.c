/* See keys.h. */
#include "http/keys.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Of those that are too many the oldest are not kept, but asked for each time. */
enum { KEYS_MOST = 32 };

struct keys {
    size_t count;
    struct signing_key list[KEYS_MOST]; /* the newest first */
    struct signing_key other;           /* the last one that was asked for and is not among them */
    int64_t loaded;                     /* clock_steady; INT64_MIN: not yet */
};

struct keys *keys_new(void)
{
    struct keys *keys = calloc(1, sizeof *keys);
    if (keys != NULL)
        keys->loaded = INT64_MIN;
    return keys;
}

void keys_free(struct keys **keys)
{
    if (*keys != NULL)
        crypt_wipe(*keys, sizeof **keys);
    free(*keys);
    *keys = NULL;
}

static bool read_key(const struct sql_rows *rows, size_t row, struct signing_key *key)
{
    struct str kid = SQL_CELL(rows, row, 0), secret = SQL_CELL(rows, row, 1);
    if (kid.len != KID_TEXT - 1 || secret.len != SECRET_SIZE)
        return false;
    memcpy(key->kid, kid.data, KID_TEXT);
    memcpy(key->secret, secret.data, SECRET_SIZE);
    return true;
}

static int load(struct keys *keys, struct sql *db, struct arena *arena, struct err *err)
{
    struct sql_rows rows;
    int64_t now = clock_steady();
    if (sql_select(db, arena, "SELECT kid, secret FROM signing_keys ORDER BY created_at DESC, kid LIMIT ?",
                   SQL_ARGS(SQL_INT(KEYS_MOST)), &rows, err) != 0)
        return -1;
    crypt_wipe(keys->list, sizeof keys->list);
    keys->count = 0;
    for (size_t i = 0; i < rows.count; i++)
        keys->count += read_key(&rows, i, &keys->list[keys->count]);
    keys->loaded = now;
    return 0;
}

/* What there is, no older than it may be. A database that cannot be reached takes nothing away. */
static int refresh(struct keys *keys, struct sql *db, struct arena *arena, struct err *err)
{
    int64_t now = clock_steady();
    if (keys->loaded != INT64_MIN && now - keys->loaded < KEYS_AGE_US)
        return 0;
    return load(keys, db, arena, err) != 0 && keys->count == 0 ? -1 : 0;
}

const struct signing_key *keys_newest(struct keys *keys, struct sql *db, struct arena *arena, struct err *err)
{
    if (load(keys, db, arena, err) != 0)
        return NULL;
    if (keys->count == 0)
        fail(err, ERR_UNAVAILABLE, "there is no key to sign with: courantctl migrate makes one");
    return keys->count > 0 ? &keys->list[0] : NULL;
}

static const struct signing_key *known(const struct keys *keys, const char *kid)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->list[i].kid, kid) == 0)
            return &keys->list[i];
    return NULL;
}

const struct signing_key *keys_find(struct keys *keys, struct sql *db, struct arena *arena, const char *kid,
                                    struct err *err)
{
    if (refresh(keys, db, arena, err) != 0)
        return NULL;
    const struct signing_key *key = known(keys, kid);
    if (key != NULL)
        return key;
    struct sql_rows rows;
    if (sql_select(db, arena, "SELECT kid, secret FROM signing_keys WHERE kid = ?", SQL_ARGS(SQL_TEXT(kid)), &rows,
                   err) != 0 ||
        (rows.count > 0 && load(keys, db, arena, err) != 0))
        return NULL;
    key = known(keys, kid);
    if (key == NULL && rows.count > 0 && read_key(&rows, 0, &keys->other))
        key = &keys->other;
    if (key == NULL)
        fail(err, ERR_DENIED, "The token is not valid.");
    return key;
}

static void make(unsigned char secret[SECRET_SIZE], char kid[KID_TEXT], char now[CLOCK_TEXT])
{
    unsigned char name[(KID_TEXT - 1) / 2];
    crypt_random(secret, SECRET_SIZE);
    crypt_random(name, sizeof name);
    hex_encode(name, sizeof name, kid);
    clock_sql(clock_now(), now);
}

int keys_make_first(struct sql *db, struct err *err)
{
    unsigned char secret[SECRET_SIZE];
    char kid[KID_TEXT], now[CLOCK_TEXT];
    make(secret, kid, now);
    int status =
        sql_exec(db,
                 "INSERT INTO signing_keys (kid, secret, created_at) SELECT ?, ?, ? FROM DUAL WHERE NOT EXISTS "
                 "(SELECT 1 FROM signing_keys)",
                 SQL_ARGS(SQL_TEXT(kid), SQL_BYTES(secret, SECRET_SIZE), SQL_TEXT(now)), NULL, err);
    crypt_wipe(secret, sizeof secret);
    return status;
}

int keys_rotate(struct sql *db, int64_t keep_s, char kid[KID_TEXT], struct err *err)
{
    unsigned char secret[SECRET_SIZE];
    char now[CLOCK_TEXT], since[CLOCK_TEXT];
    make(secret, kid, now);
    clock_sql(clock_now() - keep_s * 1000000, since);
    /*
     * A key signs until the next one comes, so what counts is when that was. The next is the newest, whatever the clock
     * of this machine says.
     */
    int status = sql_begin(db, err);
    if (status == 0)
        status = sql_exec(db,
                          "DELETE o FROM signing_keys AS o LEFT JOIN (SELECT MAX(created_at) AS at FROM signing_keys "
                          "WHERE created_at <= ?) AS n ON TRUE WHERE ? = 0 OR o.created_at < n.at",
                          SQL_ARGS(SQL_TEXT(since), SQL_INT(keep_s)), NULL, err);
    if (status == 0)
        status =
            sql_exec(db,
                     "INSERT INTO signing_keys (kid, secret, created_at) SELECT ?, ?, GREATEST(?, "
                     "COALESCE(MAX(created_at) + INTERVAL 1 MICROSECOND, ?)) FROM signing_keys",
                     SQL_ARGS(SQL_TEXT(kid), SQL_BYTES(secret, SECRET_SIZE), SQL_TEXT(now), SQL_TEXT(now)), NULL, err);
    if (status == 0)
        status = sql_commit(db, err);
    if (status != 0)
        sql_rollback(db);
    crypt_wipe(secret, sizeof secret);
    return status;
}
