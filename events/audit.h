/*
 * The log as an audit trail: its events by stream, type, user and time, in pages, for who may see all of it.
 *
 * A page reflects the log up to a position that was its head when the read began: what is there is committed, without
 * a gap (whoever reads after having learned a position finds all up to there, see events/known.h), and durable, for a
 * fence comes first (events/eventlog.h).
 *
 * Work is bounded. A stream is read by the index of streams, a user by that of users, anything else by position; what
 * these do not answer is looked for in a bounded number of events and for some milliseconds, and a page then may have
 * fewer than were asked for, or none, and yet another after it. A time is found by halving positions: events stand in
 * the order of their commits, and what they say of when they were recorded is at most AUDIT_DISORDER_US out of it.
 */
#ifndef COURANT_EVENTS_AUDIT_H
#define COURANT_EVENTS_AUDIT_H

#include "events/eventlog.h"
#include "events/model.h"

enum { AUDIT_PAGE_MOST = 100, AUDIT_DISORDER_US = 60 * 1000 * 1000 };

/* Which events; NULL: any. from <= recorded_at < to; INT64_MIN and INT64_MAX: no bound. */
struct audit_filter {
    const char *stream, *type, *user;
    int64_t from, to;
    int64_t after; /* a position; those behind it */
    size_t limit;  /* at most AUDIT_PAGE_MOST */
};

struct audit_page {
    int64_t position; /* of the log; what is shown has in it all up to there */
    int64_t next;     /* the position after which to go on; 0: there is nothing behind it */
    struct event_list list;
};

/* One page, in the order of the log; all of it in the arena, and events in today's form. */
int audit_read(struct sql *db, const struct model *model, struct arena *arena, const struct audit_filter *filter,
               struct audit_page *page, struct err *err);

#endif
