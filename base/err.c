/* The error object. See err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fail(struct err *err, enum err_kind kind, const char *format, ...)
{
    if (err == NULL)
        return -1;
    va_list args;
    va_start(args, format);
    err->kind = kind;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return -1;
}

int fail_within(struct err *err, const char *prefix)
{
    char text[sizeof err->text];
    if (err == NULL)
        return -1;
    snprintf(text, sizeof text, "%s: %.250s", prefix, err->text);
    memcpy(err->text, text, sizeof text);
    return -1;
}
