/* Log lines on standard error. See log.h. */
#include "base/log.h"

#include "base/clock.h"
#include "base/shown.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *program_name = "courant";
static enum log_level most_verbose = LOG_LEVEL_INFO;
static _Thread_local const char *current_trace;

void log_start(const char *program, enum log_level most)
{
    program_name = program;
    most_verbose = most;
}

void log_trace(const char *trace_id)
{
    current_trace = trace_id;
}

__attribute__((format(printf, 2, 0))) static void entry(enum log_level level, const char *format, va_list args)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char stamp[CLOCK_TEXT], message[1024], line[1400];
    if (level > most_verbose)
        return;
    clock_rfc3339(clock_now(), stamp);
    vsnprintf(message, sizeof message, format, args);
    shown_mask(message); /* one line, which does nothing to the terminal of who reads it */
    int len = snprintf(line, sizeof line, "%s %s %s[%ld]%s%s %s\n", stamp, names[level], program_name, (long)getpid(),
                       current_trace != NULL ? " trace=" : "", current_trace != NULL ? current_trace : "", message);
    /* One write per line keeps the lines of several processes apart; a log that cannot be written has no other place.
     */
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1) < 0)
        return;
}

#define DEFINE(name, level)                                                                                            \
    void name(const char *format, ...)                                                                                 \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        entry(level, format, args);                                                                                    \
        va_end(args);                                                                                                  \
    }

DEFINE(log_error, LOG_LEVEL_ERROR)
DEFINE(log_warning, LOG_LEVEL_WARNING)
DEFINE(log_info, LOG_LEVEL_INFO)
DEFINE(log_debug, LOG_LEVEL_DEBUG)
