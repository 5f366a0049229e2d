/*
 * Answers that a worker remembers: to reads of what anybody sees, each with what the log was when it was read. They are
 * given again for as long as the log is that, so nobody gets less than the tables hold; an event of any kind makes
 * another log, and so does a name that was changed, or a table that was rebuilt.
 *
 * That holds only where what is read follows the log: not for what is written in direct mode. To ask what the log is
 * costs a question to the database, about as much as an article: so it is asked only for what was read before, and not
 * for a while after a change, for where much is written nothing would be remembered for long enough.
 */
#ifndef COURANT_HANDLERS_PAGES_H
#define COURANT_HANDLERS_PAGES_H

#include "events/eventlog.h"
#include "http/response.h"

/* PAGES_BYTES: of all of them together; one takes a sixteenth at most. PAGES: a power of two. */
enum { PAGES = 512, PAGES_BYTES = 2 * 1024 * 1024, PAGES_REST_US = 1000000 };

struct pages;

/* NULL when there is no memory. */
struct pages *pages_new(void);
void pages_free(struct pages **pages);

/* Whether it is worth asking for the log's head: this was asked for before, and the log has stood still. */
bool pages_worth(struct pages *pages, const char *key);

/* Makes response what was answered under this key; its body is valid until the next call. False where there is none, or
 * the log is another one. */
bool pages_find(struct pages *pages, const char *key, const struct log_head *head, struct http_response *response);

/* Remembers an answer: its status, its headers from some byte on, and its body. head: read before the answer was. */
void pages_keep(struct pages *pages, const char *key, const struct log_head *head, const struct http_response *response,
                size_t headers);

#endif
