/* See shown.h. */
#include "base/shown.h"

#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

/* character: below 0 for what is no UTF-8. */
static bool is_shown(UChar32 character)
{
    const uint32_t others = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK | U_GC_ZL_MASK | U_GC_ZP_MASK;
    if (character >= ' ' && character < 0x7f)
        return true;
    return character >= 0 && (U_MASK(u_charType(character)) & others) == 0 &&
           !u_hasBinaryProperty(character, UCHAR_DEFAULT_IGNORABLE_CODE_POINT);
}

/* The next character from at on, which moves behind it. */
static UChar32 next(struct str text, int32_t *at)
{
    UChar32 character;
    U8_NEXT(text.data, *at, (int32_t)text.len, character);
    return character;
}

bool shown_whole(struct str text)
{
    for (int32_t at = 0; at < (int32_t)text.len;)
        if (!is_shown(next(text, &at)))
            return false;
    return true;
}

bool shown_name(struct str text)
{
    bool seen = false;
    for (int32_t at = 0; at < (int32_t)text.len;) {
        UChar32 character = next(text, &at);
        if (!is_shown(character) || u_isUWhiteSpace(character))
            return false;
        seen = seen || (U_MASK(u_charType(character)) & U_GC_M_MASK) == 0;
    }
    return seen;
}

void shown_escape(struct buf *buf, struct str text)
{
    for (int32_t at = 0, before = 0; at < (int32_t)text.len; before = at) {
        UChar32 character = next(text, &at);
        if (is_shown(character)) {
            buf_add(buf, text.data + before, (size_t)(at - before));
            continue;
        }
        if (character < 0)
            character = 0xfffd;
        if (character > 0xffff)
            buf_printf(buf, "\\u%04x\\u%04x", (unsigned)U16_LEAD(character), (unsigned)U16_TRAIL(character));
        else
            buf_printf(buf, "\\u%04x", (unsigned)character);
    }
}

void shown_mask(char *text)
{
    const struct str whole = str_of(text);
    for (int32_t at = 0, before = 0; at < (int32_t)whole.len; before = at)
        if (!is_shown(next(whole, &at)))
            memset(text + before, '?', (size_t)(at - before));
}
