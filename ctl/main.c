/* courantctl: the table of its commands. */
#include "ctl/ctl.h"

#include "base/shown.h"
#include "domain/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef COURANT_VERSION
#define COURANT_VERSION "unknown"
#endif

enum { ARENA_LIMIT = 512 * 1024 * 1024, REPLY_S = 86400 };

static const struct {
    const char *name, *arguments, *summary;
    int (*run)(struct ctl *ctl, int argc, char **argv);
    bool secret; /* passwords or tokens come by: no copy of them is left in memory */
} COMMANDS[] = {
    {"adopt", "[MODEL...]", "bring rows that were written in direct mode into the log", ctl_adopt, false},
    {"bus", "status | rebuild [--force]", "compare the bus with the log; fill it from the log", ctl_bus, false},
    {"events", "[--after N] [--stream S] [--type T] [--follow]", "print the log", ctl_events, false},
    {"export", "[FILE]", "write the whole log as JSON lines", ctl_export, false},
    {"import", "[FILE]", "append a log that was exported", ctl_import, false},
    {"key", "list | rotate [--now]", "the keys that access tokens are signed with", ctl_key, true},
    {"migrate", "[--dry-run] [--from FOLDER]", "bring the database's schema forward", ctl_migrate, true},
    {"rebuild", "[--check | --force] [MODEL...]", "make read models again from the log", ctl_rebuild, false},
    {"session", "list NAME | revoke ID", "the sessions of an account", ctl_session, true},
    {"token", "list NAME | revoke ID", "the API tokens of an account", ctl_token, true},
    {"user", "list | add | passwd | grant | revoke | erase | invite", "the accounts; see courantctl(8)", ctl_user,
     true},
    {"verify", "[--from N]", "prove that log, read models and bus agree", ctl_verify, false},
};

enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static void help(FILE *out)
{
    fprintf(out, "usage: courantctl [--config FILE] COMMAND [ARGUMENT...]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %s %s\n      %s\n", COMMANDS[i].name, COMMANDS[i].arguments, COMMANDS[i].summary);
    fprintf(out, "\nExit status: 0 done, 1 refused or different, 2 could not be done. See courantctl(8).\n");
}

const char *ctl_shown(struct arena *arena, const char *text)
{
    struct buf buf;
    buf_init(&buf, arena);
    shown_escape(&buf, text != NULL ? str_of(text) : STR(""));
    buf_add(&buf, "", 1);
    return buf.failed ? "" : buf.data;
}

int ctl_error(const struct err *err)
{
    struct arena *arena = arena_new(64 * sizeof err->text);
    fprintf(stderr, "courantctl: %s\n", arena != NULL ? ctl_shown(arena, err->text) : "no memory");
    arena_free(&arena);
    return err->kind == ERR_UNAVAILABLE || err->kind == ERR_INTERNAL || err->kind == ERR_TRANSIENT ? CTL_FAILED
                                                                                                   : CTL_REFUSED;
}

int ctl_usage(const char *usage)
{
    fprintf(stderr, "usage: courantctl %s\n", usage);
    return CTL_FAILED;
}

void ctl_no_model(const char *name)
{
    fprintf(stderr, "courantctl: there is no read model %s; there are:", name);
    for (size_t i = 0; i < MODEL.read_model_count; i++)
        fprintf(stderr, " %s", MODEL.read_models[i]->name);
    fprintf(stderr, "\n");
}

bool ctl_position(const char *text, int64_t *position)
{
    size_t len = strlen(text);
    *position = strtoll(text, NULL, 10);
    return len > 0 && len <= 18 && strspn(text, "0123456789") == len;
}

static int run(const char *config, int argc, char **argv, int (*command)(struct ctl *, int, char **))
{
    struct ctl ctl = {.arena = arena_new(ARENA_LIMIT)};
    struct err err;
    int status = -1;
    if (ctl.arena == NULL)
        fail(&err, ERR_UNAVAILABLE, "no memory");
    else if (crypt_init(&err) == 0)
        status = conf_load(&ctl.conf, config, "courantctl", &err);
    /* The commit of a large import, or an index, takes minutes; whoever waits for it can end it. */
    ctl.conf.database_reply_s = REPLY_S;
    if (status != 0 || sql_open(&ctl.db, &ctl.conf, &err) != 0)
        status = ctl_error(&err);
    else
        status = command(&ctl, argc, argv);
    if (fflush(stdout) != 0 && status == CTL_OK) {
        fail(&err, ERR_UNAVAILABLE, "the output cannot be written: %s", strerror(errno));
        status = ctl_error(&err);
    }
    sql_close(&ctl.db);
    sql_end();
    arena_free(&ctl.arena);
    conf_wipe(&ctl.conf);
    return status;
}

int main(int argc, char **argv)
{
    const char *config = NULL;
    int at = 1;
    if (at < argc && strcmp(argv[at], "--config") == 0) {
        config = at + 1 < argc ? argv[at + 1] : "";
        at += 2;
    }
    if (at < argc && (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "help") == 0)) {
        help(stdout);
        return CTL_OK;
    }
    if (at < argc && strcmp(argv[at], "--version") == 0) {
        printf("courantctl %s\n", COURANT_VERSION);
        return CTL_OK;
    }
    for (size_t i = 0; at < argc && i < COMMAND_COUNT; i++)
        if (strcmp(argv[at], COMMANDS[i].name) == 0) {
            if (COMMANDS[i].secret)
                crypt_wipe_freed(argv);
            return run(config, argc - at, argv + at, COMMANDS[i].run);
        }
    if (at < argc)
        fprintf(stderr, "courantctl: there is no command %s\n", argv[at]);
    help(stderr);
    return CTL_FAILED;
}
