/* Names that count as one, by ICU. See fold.h. */
#include "base/fold.h"

#include <stdint.h>
#include <unicode/ucol.h>
#include <unicode/ucoleitr.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

static UCollator *root;

int fold_start(struct err *err)
{
    UErrorCode status = U_ZERO_ERROR;
    if (root == NULL)
        root = ucol_open("root", &status);
    return U_SUCCESS(status) ? 0 : fail(err, ERR_INTERNAL, "ICU: %s", u_errorName(status));
}

void fold_end(void)
{
    if (root != NULL)
        ucol_close(root);
    root = NULL;
}

/*
 * Two characters have no weight in the database and have one by ICU. Without them, no two characters of Unicode that
 * the database (MariaDB 10.11) takes for the same are told apart here: all were compared with its WEIGHT_STRING.
 */
static bool has_no_weight(UChar32 character)
{
    return character == 0x06de || character == 0x108d;
}

/* The primary weights of one character, of which it has several at most; how many there are. */
static size_t weigh(UCollationElements *elements, UChar32 character, uint16_t *weights, size_t room, UErrorCode *status)
{
    UChar text[2];
    size_t count = 0;
    int32_t len = 0;
    U16_APPEND_UNSAFE(text, len, character);
    ucol_setText(elements, text, len, status);
    while (U_SUCCESS(*status) && count < room) {
        int32_t order = ucol_next(elements, status);
        if (order == UCOL_NULLORDER)
            break;
        int32_t primary = ucol_primaryOrder(order);
        if (primary != 0)
            weights[count++] = (uint16_t)primary;
    }
    return count;
}

/* Character by character, for the database does not weigh several as one either. */
static size_t weigh_all(struct str name, uint16_t *weights, size_t room, UErrorCode *status)
{
    static const UChar NOTHING[1];
    uint16_t space = 0;
    size_t count = 0;
    UCollationElements *elements = ucol_openElements(root, NOTHING, 0, status);
    if (U_FAILURE(*status))
        return 0;
    weigh(elements, ' ', &space, 1, status);
    for (int32_t i = 0; i < (int32_t)name.len;) {
        UChar32 character;
        U8_NEXT(name.data, i, (int32_t)name.len, character);
        if (!has_no_weight(character))
            count += weigh(elements, character >= 0 ? character : 0xfffd, weights + count, room - count, status);
    }
    while (count > 0 && weights[count - 1] == space)
        count--;
    ucol_closeElements(elements);
    return count;
}

struct str fold_of(struct arena *arena, struct str name)
{
    enum { EXPANSION = 36 }; /* the most that one character becomes (U+FDFA), twice */
    const struct str none = {NULL, 0};
    UErrorCode status = U_ZERO_ERROR;
    struct err err;
    size_t room = name.len * EXPANSION + 1;
    uint16_t *weights = arena_alloc(arena, room * sizeof *weights);
    if (weights == NULL || fold_start(&err) != 0)
        return none;
    size_t count = weigh_all(name, weights, room, &status);
    return U_SUCCESS(status) ? (struct str){(const char *)weights, count * sizeof *weights} : none;
}
