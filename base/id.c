/* UUIDv7. See id.h. */
#include "base/id.h"

#include "base/clock.h"
#include "base/crypt.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* RFC 9562, section 6.2, method 1: rand_a counts within a millisecond, and borrows the next one when it is full. */
static void stamp(uint64_t *millis, uint16_t *counter)
{
    static _Thread_local uint64_t last;
    static _Thread_local uint16_t count;
    uint64_t now = (uint64_t)(clock_now() / 1000);
    if (now > last) {
        last = now;
        crypt_unique(&count, sizeof count);
        count &= 0x7ff;
    } else if (++count > 0xfff) {
        last++;
        count = 0;
    }
    *millis = last;
    *counter = count;
}

void id_new(char id[ID_TEXT])
{
    uint64_t millis;
    uint16_t counter;
    unsigned char tail[8];
    stamp(&millis, &counter);
    crypt_unique(tail, sizeof tail);
    snprintf(id, ID_TEXT, "%08x-%04x-7%03x-%02x%02x-%02x%02x%02x%02x%02x%02x", (unsigned)(millis >> 16) & 0xffffffffu,
             (unsigned)millis & 0xffffu, counter & 0xfffu, (tail[0] & 0x3fu) | 0x80u, tail[1], tail[2], tail[3],
             tail[4], tail[5], tail[6], tail[7]);
}

bool id_valid(const char *text, size_t len)
{
    if (len != ID_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : memchr("0123456789abcdef", text[i], 16) == NULL)
            return false;
    }
    return true;
}
