/*
 * The log of what a program does (not the event log): one line per entry on standard error,
 *
 *      2026-01-31T12:00:00.000001Z warning courant-fcgi[123] trace=… message
 *
 * Whatever comes from outside is escaped, so that an entry is always one line. Secrets are never passed here.
 */
#ifndef COURANT_BASE_LOG_H
#define COURANT_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* program: a string that outlives the process. */
void log_start(const char *program, enum log_level most);

/* The trace that this thread's next entries belong to (NULL for none); the text must live until it is replaced. */
void log_trace(const char *trace_id);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
