/* courantctl events [--after N] [--stream S] [--type T] [--follow]: the log as JSON lines. */
#include "ctl/ctl.h"

#include "events/bus.h"
#include "events/tail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 500, TRIES = 300, PAUSE_US = 10000, TURN_US = 1000000 };

static const char USAGE[] = "events [--after N] [--stream STREAM] [--type TYPE] [--follow]";

struct wish {
    int64_t after;
    const char *stream, *type;
    bool follow, shown; /* shown: to somebody, and not to a program */
};

static bool read_wish(int argc, char **argv, struct wish *wish)
{
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--follow") == 0)
            wish->follow = true;
        else if (strcmp(argv[i], "--after") == 0 && more && ctl_position(argv[i + 1], &wish->after))
            i++;
        else if (strcmp(argv[i], "--stream") == 0 && more)
            wish->stream = argv[++i];
        else if (strcmp(argv[i], "--type") == 0 && more)
            wish->type = argv[++i];
        else
            return false;
    }
    return true;
}

/* Prints what is wished for; -1 when nobody reads it any more. */
static int print(const struct wish *wish, struct arena *arena, const struct event_list *list, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct envelope *event = &list->events[i];
        if ((wish->stream != NULL && strcmp(event->stream, wish->stream) != 0) ||
            (wish->type != NULL && strcmp(event->type, wish->type) != 0))
            continue;
        struct str line = event_message(arena, event);
        if (wish->shown && line.data != NULL)
            line = str_of(ctl_shown(arena, arena_copy(arena, line.data, line.len)));
        if (line.len == 0 || fwrite(line.data, 1, line.len, stdout) != line.len || putchar('\n') == EOF)
            return fail(err, ERR_INTERNAL, "the output cannot be written");
    }
    return fflush(stdout) == 0 ? 0 : fail(err, ERR_INTERNAL, "the output cannot be written");
}

int ctl_read_log(struct ctl *ctl, int64_t after, struct event_list *list, struct err *err)
{
    const struct timespec pause = {0, PAUSE_US * 1000L};
    for (int try = 0; try < TRIES; try++) {
        arena_reset(ctl->arena);
        if (eventlog_read(ctl->db, ctl->arena, after, CHUNK, list, err) != 0)
            return -1;
        if (list->count > 0)
            return 0;
        nanosleep(&pause, NULL);
    }
    return fail(err, ERR_CONFLICT, "position %" PRId64 " is missing from the log", after + 1);
}

/* To where the log ends as this begins. */
static int print_log(struct ctl *ctl, struct wish *wish, struct err *err)
{
    struct event_list list;
    struct log_head head;
    if (eventlog_head(ctl->db, ctl->arena, &head, err) != 0)
        return -1;
    if (wish->follow && wish->after > head.position)
        return fail(err, ERR_INVALID, "the log ends at position %" PRId64, head.position);
    while (wish->after < head.position) {
        if (ctl_read_log(ctl, wish->after, &list, err) != 0 || print(wish, ctl->arena, &list, err) != 0)
            return -1;
        wish->after += (int64_t)list.count;
    }
    return 0;
}

/* Until somebody ends it. */
static int follow(struct ctl *ctl, const struct wish *wish, struct err *err)
{
    struct tail *tail;
    struct event_list list;
    int status = tail_open(&tail, &ctl->conf, NULL, wish->after, err);
    while (status == 0) {
        arena_reset(ctl->arena);
        tail_next(tail, ctl->arena, TURN_US, &list);
        status = print(wish, ctl->arena, &list, err);
        if (status == 0 && tail_lost(tail))
            status = fail(err, ERR_CONFLICT, "the log is another one by now: it ends before what was printed");
    }
    tail_close(&tail);
    bus_end();
    return status;
}

int ctl_events(struct ctl *ctl, int argc, char **argv)
{
    struct wish wish = {.shown = isatty(STDOUT_FILENO)};
    struct err err;
    if (!read_wish(argc, argv, &wish))
        return ctl_usage(USAGE);
    if (print_log(ctl, &wish, &err) != 0 || (wish.follow && follow(ctl, &wish, &err) != 0))
        return ctl_error(&err);
    return CTL_OK;
}
