/*
 * Lists that a worker remembers: whole answers to those who show no credentials, each with what the log was when it was
 * read. They are given again for as long as the log is that, so who reads a page by it reads what the tables hold; an
 * event of any kind makes another log, and so does a name that was changed.
 *
 * That holds only where what is read follows the log: not for what is written in direct mode.
 */
#ifndef COURANT_HANDLERS_PAGES_H
#define COURANT_HANDLERS_PAGES_H

#include "events/eventlog.h"

/* PAGES_BYTES: of all of them together; one takes a quarter at most. */
enum { PAGES = 32, PAGES_BYTES = 1024 * 1024 };

struct pages;

/* NULL when there is no memory. */
struct pages *pages_new(void);
void pages_free(struct pages **pages);

/* What was answered to this target; valid until the next call. False where that is not known, or no longer true. */
bool pages_find(struct pages *pages, const char *target, const struct log_head *head, struct str *headers,
                struct str *body);

/* Remembers an answer, and forgets what was asked for least lately. head: read before the answer was. */
void pages_keep(struct pages *pages, const char *target, const struct log_head *head, struct str headers,
                struct str body);

#endif
