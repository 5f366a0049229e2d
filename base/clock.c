/* Time and its texts. See clock.h. */
#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_steady(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static void put(char *at, int count, unsigned number)
{
    for (; count > 0; number /= 10)
        at[--count] = (char)('0' + number % 10);
}

/* By hand: printf takes seven times as long, and each event has its time in several texts. */
static void print(int64_t moment, char text[CLOCK_TEXT], char separator, const char *zone)
{
    time_t seconds = (time_t)(moment / 1000000);
    int micros = (int)(moment % 1000000);
    if (micros < 0) {
        micros += 1000000;
        seconds--;
    }
    struct tm tm;
    gmtime_r(&seconds, &tm);
    memcpy(text, "0000-00-00 00:00:00.000000", 26);
    text[10] = separator;
    put(text, 4, (unsigned)(tm.tm_year + 1900));
    put(text + 5, 2, (unsigned)(tm.tm_mon + 1));
    put(text + 8, 2, (unsigned)tm.tm_mday);
    put(text + 11, 2, (unsigned)tm.tm_hour);
    put(text + 14, 2, (unsigned)tm.tm_min);
    put(text + 17, 2, (unsigned)tm.tm_sec);
    put(text + 20, 6, (unsigned)micros);
    memcpy(text + 26, zone, strlen(zone) + 1);
}

void clock_rfc3339(int64_t moment, char text[CLOCK_TEXT])
{
    print(moment, text, 'T', "Z");
}

void clock_sql(int64_t moment, char text[CLOCK_TEXT])
{
    print(moment, text, ' ', "");
}

static int digits(const char *text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

int64_t clock_parse(const char *text, size_t len)
{
    if (len > 0 && text[len - 1] == 'Z')
        len--;
    if (len < 19 || len > 26 || len == 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != ' ') ||
        text[13] != ':' || text[16] != ':' || (len > 19 && text[19] != '.'))
        return INT64_MIN;
    int part[] = {digits(text, 4),
                  digits(text + 5, 2),
                  digits(text + 8, 2),
                  digits(text + 11, 2),
                  digits(text + 14, 2),
                  digits(text + 17, 2),
                  len > 19 ? digits(text + 20, (int)len - 20) : 0};
    for (size_t i = len; len > 19 && i < 26; i++)
        part[6] *= 10;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        if (part[i] < 0)
            return INT64_MIN;
    struct tm tm = {.tm_year = part[0] - 1900,
                    .tm_mon = part[1] - 1,
                    .tm_mday = part[2],
                    .tm_hour = part[3],
                    .tm_min = part[4],
                    .tm_sec = part[5]};
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 || part[3] > 23 || part[4] > 59 || part[5] > 59)
        return INT64_MIN;
    /* The 30th of February is none: the calendar makes another day of it. */
    int64_t seconds = (int64_t)timegm(&tm);
    return tm.tm_mday == part[2] ? seconds * 1000000 + part[6] : INT64_MIN;
}

/* «Z» or «+01:30» in microseconds; false for what is neither. */
static bool read_zone(const char *text, size_t len, int64_t *offset)
{
    *offset = 0;
    if (len == 1)
        return text[0] == 'Z' || text[0] == 'z';
    if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
        return false;
    int hours = digits(text + 1, 2), minutes = digits(text + 4, 2);
    *offset = (int64_t)(hours * 60 + minutes) * 60000000 * (text[0] == '-' ? -1 : 1);
    return hours >= 0 && hours <= 23 && minutes >= 0 && minutes <= 59;
}

int64_t clock_parse_any(const char *text, size_t len)
{
    char plain[CLOCK_TEXT];
    int64_t offset;
    size_t at = 19, count = 19;
    if (len < 20 || (text[10] != 'T' && text[10] != 't'))
        return INT64_MIN;
    memcpy(plain, text, 19);
    plain[10] = 'T';
    if (text[at] == '.') {
        plain[count++] = text[at++];
        for (; at < len && text[at] >= '0' && text[at] <= '9'; at++)
            if (count < 26)
                plain[count++] = text[at];
    }
    int64_t moment = read_zone(text + at, len - at, &offset) ? clock_parse(plain, count) : INT64_MIN;
    /* What is past the last year, or before the year 0, has no text. */
    static const int64_t FIRST = -62167219200000000, LAST = 253402300799999999;
    return moment != INT64_MIN && moment - offset >= FIRST && moment - offset <= LAST ? moment - offset : INT64_MIN;
}
