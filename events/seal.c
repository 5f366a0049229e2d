/* See seal.h. */
#include "events/seal.h"

#include <string.h>

enum { AT_ONCE = 64 };

struct str seal_text(struct arena *arena, const unsigned char key[SECRET_SIZE], const char *once, struct str text)
{
    struct sha256 hash;
    unsigned char nonce[SHA256_SIZE];
    unsigned char *box = arena_alloc(arena, SEAL_NONCE + text.len + SEAL_EXTRA);
    if (box == NULL)
        return (struct str){NULL, 0};
    sha256_start(&hash);
    sha256_add(&hash, once, strlen(once));
    sha256_end(&hash, nonce);
    memcpy(box, nonce, SEAL_NONCE);
    secretbox_seal(box + SEAL_NONCE, text.data, text.len, nonce, key);
    return base64url_encode(arena, box, SEAL_NONCE + text.len + SEAL_EXTRA);
}

struct str seal_open(struct arena *arena, const unsigned char key[SECRET_SIZE], struct str sealed)
{
    const struct str none = {NULL, 0};
    struct str box = base64url_decode(arena, sealed.data, sealed.len);
    if (box.data == NULL || box.len < SEAL_NONCE + SEAL_EXTRA)
        return none;
    size_t len = box.len - SEAL_NONCE - SEAL_EXTRA;
    char *text = arena_alloc(arena, len + 1);
    const unsigned char *bytes = (const unsigned char *)box.data;
    if (text == NULL || !secretbox_open(text, bytes + SEAL_NONCE, box.len - SEAL_NONCE, bytes, key))
        return none;
    text[len] = '\0';
    return (struct str){text, len};
}

static int find_some(struct sql *db, struct arena *arena, const char *text, const char *const *ids, size_t count,
                     const unsigned char **keys, struct err *err)
{
    struct sql_arg args[AT_ONCE];
    struct sql_rows rows;
    for (size_t i = 0; i < AT_ONCE; i++)
        args[i] = SQL_TEXT(ids[i < count ? i : count - 1]);
    if (sql_select(db, arena, text, args, AT_ONCE, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        keys[i] = NULL;
        for (size_t r = 0; r < rows.count && keys[i] == NULL; r++)
            if (strcmp(SQL_CELL(&rows, r, 0).data, ids[i]) == 0 && SQL_CELL(&rows, r, 1).len == SECRET_SIZE)
                keys[i] = (const unsigned char *)SQL_CELL(&rows, r, 1).data;
    }
    return 0;
}

int seal_keys(struct sql *db, struct arena *arena, const char *const *ids, size_t count, const unsigned char **keys,
              struct err *err)
{
    const char *places = sql_places(arena, AT_ONCE);
    const char *text =
        places != NULL ? arena_printf(arena, "SELECT id, secret FROM seal_keys WHERE id IN %s", places) : NULL;
    if (text == NULL)
        return fail(err, ERR_UNAVAILABLE, "no room for keys");
    for (size_t at = 0; at < count; at += AT_ONCE)
        if (find_some(db, arena, text, ids + at, count - at < AT_ONCE ? count - at : AT_ONCE, keys + at, err) != 0)
            return -1;
    return 0;
}

void seal_key_add(struct sql_batch *batch, const char *id, const unsigned char key[SECRET_SIZE])
{
    sql_batch_add(batch, "INSERT INTO seal_keys (id, secret) VALUES (?, ?)",
                  SQL_ARGS(SQL_TEXT(id), SQL_BYTES(key, SECRET_SIZE)));
}

void seal_key_destroy(struct sql_batch *batch, const char *id)
{
    sql_batch_add(batch, "DELETE FROM seal_keys WHERE id = ?", SQL_ARGS(SQL_TEXT(id)));
}
