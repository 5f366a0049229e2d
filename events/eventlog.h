/*
 * The event log in MariaDB.
 *
 * Dense (invariant 2): the next position is taken from the one row of log_head under its row lock, in the same
 * transaction that inserts the event; a rollback gives it back. Readers see a prefix (invariant 3): MariaDB's read
 * views are not atomic, so a reader may see n + 1 before n; it stops before the first gap and reads on from there.
 *
 * Durable: InnoDB shows a commit to others a moment before it has synced it, and a server that dies in that moment
 * takes the event back and gives its position to another. A worker passes on only what its own commit, later in the
 * redo log, has made durable. A reader without a commit of its own calls eventlog_fence first.
 */
#ifndef COURANT_EVENTS_EVENTLOG_H
#define COURANT_EVENTS_EVENTLOG_H

#include "events/event.h"
#include "sql/db.h"

struct log_head {
    int64_t position;
    unsigned char hash[SHA256_SIZE];
    int64_t names; /* how often a user's name was changed, or a table rebuilt: see events/known.h */
};

/* Events of a read, in order and without a gap; all in the arena. */
struct event_list {
    struct envelope *events;
    size_t count;
    bool more; /* a limit ended it: the next read may find what comes behind at once */
};

int eventlog_head(struct sql *db, struct arena *arena, struct log_head *head, struct err *err);

/*
 * Events after a position, at most limit of them, up to the first gap, and of those the first that have no more than
 * EVENTS_BYTES together, and two in any case: who begins with one that was seen already goes on. None is no error.
 */
int eventlog_read(struct sql *db, struct arena *arena, int64_t after, size_t limit, struct event_list *list,
                  struct err *err);

/*
 * The events at these positions, which rise and are at most EVENTLOG_AT_MOST, up to the first that is not there, and of
 * those the first that have no more than so many bytes together, and one in any case.
 */
enum { EVENTLOG_AT_MOST = 100 };
int eventlog_read_at(struct sql *db, struct arena *arena, const int64_t *positions, size_t count, int64_t bytes,
                     struct event_list *list, struct err *err);

/* Events of one stream with after < version <= upto, at most limit of them, by version. */
int eventlog_read_stream(struct sql *db, struct arena *arena, const char *stream, int64_t after, int64_t upto,
                         size_t limit, struct event_list *list, struct err *err);

/* Events of one stream with version < before, at most limit of them, the last ones first. */
int eventlog_read_back(struct sql *db, struct arena *arena, const char *stream, int64_t before, size_t limit,
                       struct event_list *list, struct err *err);

/*
 * Whether an event is the first of its stream, or the one before it is in the log, before it: what folding says of
 * those that make a row. -1 with ERR_CONFLICT when not.
 */
int eventlog_follows(struct sql *db, struct arena *arena, const struct envelope *event, struct err *err);

/* The position of the event with this id, 0 where there is none. */
int eventlog_find(struct sql *db, struct arena *arena, const char *id, int64_t *position, struct err *err);

/* After it returns, every event that was visible before it was called is durable. */
int eventlog_fence(struct sql *db, struct err *err);

/*
 * Adds to a batch the statements that take the positions and insert the events; add them last, for the head's lock is
 * held from there to the commit. The batch's result is one cell, the position of the last event.
 * expected: the version that the stream has now, which must be in the log; 0 for a new one, or one that begins in the
 * log with an imported event.
 * What sql_duplicate_key then names: «stream_version» the stream has moved on, «stream_behind» its row was changed
 * without events, «event_id» the event is there already.
 */
void eventlog_append(struct sql_batch *batch, const struct envelope *events, size_t count, int64_t expected);

#endif
