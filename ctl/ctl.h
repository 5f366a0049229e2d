/*
 * courantctl: what an operator does by hand. One file per command, and one table of them in main.c.
 */
#ifndef COURANT_CTL_CTL_H
#define COURANT_CTL_CTL_H

#include "base/conf.h"
#include "events/eventlog.h"

enum { PASSWORD_ROOM = 1100 };

/* Exit statuses, the same for every command. */
enum { CTL_OK = 0, CTL_REFUSED = 1, CTL_FAILED = 2 };

struct ctl {
    struct conf conf;
    struct sql *db;
    struct arena *arena;
};

/* argv[0] is the command's name. */
int ctl_adopt(struct ctl *ctl, int argc, char **argv);
int ctl_bus(struct ctl *ctl, int argc, char **argv);
int ctl_events(struct ctl *ctl, int argc, char **argv);
int ctl_export(struct ctl *ctl, int argc, char **argv);
int ctl_import(struct ctl *ctl, int argc, char **argv);
int ctl_key(struct ctl *ctl, int argc, char **argv);
int ctl_migrate(struct ctl *ctl, int argc, char **argv);
int ctl_rebuild(struct ctl *ctl, int argc, char **argv);
/* Rebuilds the read models that a migration has noted. */
int ctl_rebuild_migrated(struct ctl *ctl, struct err *err);
int ctl_session(struct ctl *ctl, int argc, char **argv);
int ctl_token(struct ctl *ctl, int argc, char **argv);
int ctl_user(struct ctl *ctl, int argc, char **argv);
int ctl_verify(struct ctl *ctl, int argc, char **argv);

/*
 * A chunk of the log behind a position, which is not its end: what is not visible yet is read again, and a hole is an
 * error (ERR_CONFLICT).
 */
int ctl_read_log(struct ctl *ctl, int64_t after, struct event_list *list, struct err *err);

/* A text as a terminal may have it: what does not show stands as \u001b. "" where there is no memory. */
const char *ctl_shown(struct arena *arena, const char *text);

/* The first line of standard input; at a terminal it is asked for twice, and not shown. room: up to PASSWORD_ROOM. */
int ctl_read_password(char *out, size_t room, struct err *err);

/* Says what went wrong on standard error; returns CTL_REFUSED for what the operator asked, CTL_FAILED for the rest. */
int ctl_error(const struct err *err);
int ctl_usage(const char *usage);
/* Says that there is no such read model, and which there are. */
void ctl_no_model(const char *name);

/* A position that an operator has typed; false for what is none. */
bool ctl_position(const char *text, int64_t *position);

#endif
