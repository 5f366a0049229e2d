/* Slugs, by ICU. See slug.h. */
#include "base/slug.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ustring.h>
#include <unicode/utrans.h>

static UTransliterator *to_ascii;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static int open_once(bool *opened, struct err *err)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar rules[40];
    pthread_mutex_lock(&opening);
    *opened = to_ascii == NULL;
    /* Older events have their slugs by this (article_apply.c): it never changes, or what was published moves. */
    u_uastrcpy(rules, "Any-Latin; Latin-ASCII; Lower");
    if (*opened)
        to_ascii = utrans_openU(rules, -1, UTRANS_FORWARD, NULL, 0, NULL, &status);
    pthread_mutex_unlock(&opening);
    return U_FAILURE(status) ? fail(err, ERR_INTERNAL, "ICU: %s", u_errorName(status)) : 0;
}

int slug_start(struct err *err)
{
    /* A word of each of the large scripts, whose tables are then there. */
    static const char WARM[] = "Привет 東京 Ελλάδα سلام שלום 한국어 हिन्दी ไทย かな";
    bool opened;
    if (open_once(&opened, err) != 0)
        return -1;
    struct arena *arena = opened ? arena_new(65536) : NULL;
    if (arena != NULL)
        slug_of(arena, STR(WARM));
    arena_free(&arena);
    return 0;
}

void slug_end(void)
{
    if (to_ascii != NULL)
        utrans_close(to_ascii);
    to_ascii = NULL;
}

/* One letter of another script may become several: at most this many. */
enum { GROWTH = 8 };

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    return true;
}

/* The text in Latin letters, as UTF-8; ASCII but for what has no likeness there. */
static struct str latin(struct arena *arena, struct str text)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t cap = (int32_t)(text.len * GROWTH + 64), len = 0, limit, out_len = 0;
    UChar *wide = arena_alloc(arena, (size_t)cap * sizeof *wide);
    char *out = arena_alloc(arena, (size_t)cap * 3);
    if (wide == NULL || out == NULL)
        return (struct str){NULL, 0};
    u_strFromUTF8(wide, cap, &len, text.data, (int32_t)text.len, &status);
    limit = len;
    utrans_transUChars(to_ascii, wide, &len, cap, 0, &limit, &status);
    u_strToUTF8(out, cap * 3, &out_len, wide, len, &status);
    return U_FAILURE(status) ? STR("") : (struct str){out, (size_t)out_len};
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Apostrophes and what is not ASCII join what they stand between: «don't» is «dont». */
static bool joins(char c)
{
    return c == '\'' || (unsigned char)c >= 0x80;
}

static size_t cut(const char *slug, size_t len)
{
    if (len <= SLUG_MOST)
        return len;
    for (size_t at = SLUG_MOST; at > SLUG_MOST / 2; at--)
        if (slug[at] == '-')
            return at;
    return SLUG_MOST;
}

struct str slug_of(struct arena *arena, struct str title)
{
    struct err err;
    bool plain = is_ascii(title);
    if (!plain && slug_start(&err) != 0)
        return STR("");
    struct str ascii = plain ? title : latin(arena, title);
    char *slug = ascii.data != NULL ? arena_alloc(arena, ascii.len + 1) : NULL;
    size_t len = 0;
    if (slug == NULL)
        return (struct str){NULL, 0};
    bool gap = false;
    for (size_t i = 0; i < ascii.len; i++) {
        char c = ascii.data[i] >= 'A' && ascii.data[i] <= 'Z' ? (char)(ascii.data[i] + 32) : ascii.data[i];
        if (!is_word(c)) {
            gap = gap || !joins(c);
            continue;
        }
        if (gap && len > 0)
            slug[len++] = '-';
        gap = false;
        slug[len++] = c;
    }
    len = cut(slug, len);
    slug[len] = '\0';
    return (struct str){slug, len};
}
