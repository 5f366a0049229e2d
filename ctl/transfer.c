/* courantctl export [FILE] and import [FILE]: the whole log as JSON lines, out and in. */
#include "ctl/ctl.h"

#include "ctl/progress.h"
#include "domain/model.h"
#include "events/import.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MOST = 16 * 1024 * 1024 };

static int write_failed(struct err *err)
{
    return fail(err, ERR_UNAVAILABLE, "the output cannot be written: %s", strerror(errno));
}

static int write_log(struct ctl *ctl, FILE *out, struct progress *progress, struct err *err)
{
    struct event_list list;
    struct log_head head;
    unsigned char hash[SHA256_SIZE] = {0};
    if (eventlog_head(ctl->db, ctl->arena, &head, err) != 0)
        return -1;
    progress_start(progress, "export", 0, head.position);
    while (progress->at < head.position) {
        if (ctl_read_log(ctl, progress->at, &list, err) != 0)
            return -1;
        for (size_t i = 0; i < list.count && list.events[i].position <= head.position; i++) {
            if (event_check(&list.events[i], hash, err) != 0)
                return -1;
            struct str line = export_line(ctl->arena, &list.events[i]);
            if (line.data == NULL || fwrite(line.data, 1, line.len, out) != line.len || putc('\n', out) == EOF)
                return write_failed(err);
            progress_at(progress, list.events[i].position);
        }
    }
    return fflush(out) == 0 ? 0 : write_failed(err);
}

static int not_there(const char *path, struct err *err)
{
    return fail(err, ERR_UNAVAILABLE, "%.200s: %s", path, strerror(errno));
}

/* A device, or a pipe. */
static int export_through(struct ctl *ctl, const char *path, struct progress *progress, struct err *err)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return not_there(path, err);
    int status = write_log(ctl, out, progress, err);
    return fclose(out) != 0 && status == 0 ? write_failed(err) : status;
}

/* A file appears under its name when it is whole and synced; a kill leaves the part. there: what it replaces. */
static int export_whole(struct ctl *ctl, const char *path, const struct stat *there, struct progress *progress,
                        struct err *err)
{
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s.part-XXXXXX", path);
    int file = mkostemp(name, O_CLOEXEC); /* which only its owner reads: there are drafts in it */
    FILE *out = file >= 0 && (there == NULL || fchmod(file, there->st_mode & 07777) == 0) ? fdopen(file, "w") : NULL;
    int status = out != NULL ? write_log(ctl, out, progress, err) : not_there(name, err);
    if (status == 0 && fsync(file) != 0)
        status = write_failed(err);
    if ((out != NULL ? fclose(out) : file >= 0 ? close(file) : 0) != 0 && status == 0)
        status = write_failed(err);
    if (status == 0 && rename(name, path) != 0)
        status = not_there(path, err);
    if (status != 0 && file >= 0)
        unlink(name);
    return status;
}

static int export_file(struct ctl *ctl, const char *path, struct progress *progress, struct err *err)
{
    struct stat there;
    char real[PATH_MAX]; /* what a link leads to */
    bool is = stat(path, &there) == 0;
    if (is && !S_ISREG(there.st_mode))
        return export_through(ctl, path, progress, err);
    if (is && realpath(path, real) == NULL)
        return not_there(path, err);
    if (strlen(path) >= PATH_MAX)
        return fail(err, ERR_INVALID, "the file's name is too long");
    return export_whole(ctl, is ? real : path, is ? &there : NULL, progress, err);
}

int ctl_export(struct ctl *ctl, int argc, char **argv)
{
    struct err err;
    struct progress progress = {0};
    if (argc > 2 || (argc == 2 && argv[1][0] == '-' && argv[1][1] != '\0'))
        return ctl_usage("export [FILE]");
    bool named = argc == 2 && strcmp(argv[1], "-") != 0;
    int status = named ? export_file(ctl, argv[1], &progress, &err) : write_log(ctl, stdout, &progress, &err);
    progress_end(&progress);
    if (status != 0)
        return ctl_error(&err);
    fprintf(stderr, "exported %" PRId64 " events\n", progress.at);
    return CTL_OK;
}

/* One line without its end; 1, 0 at the end of the input, -1 when it is none. */
static int read_line(FILE *in, char *line, size_t room, size_t *len, int64_t number, struct err *err)
{
    if (fgets(line, (int)room, in) == NULL)
        return ferror(in) ? fail(err, ERR_UNAVAILABLE, "the input cannot be read: %s", strerror(errno)) : 0;
    *len = strlen(line);
    if (*len == 0 || line[*len - 1] != '\n')
        return fail(err, ERR_INVALID, "line %" PRId64 " is cut off, has a NUL byte, or is longer than %zu bytes",
                    number, room - 2);
    (*len)--;
    return 1;
}

/* All lines; the last one too must have its end, or the file was cut off. */
static int read_lines(struct import *import, FILE *in, struct progress *progress, struct err *err)
{
    char *line = malloc(LINE_MOST);
    size_t len = 0;
    int got = line != NULL ? 1 : fail(err, ERR_UNAVAILABLE, "no memory");
    progress_start(progress, "import", 0, 0);
    while (got > 0 && (got = read_line(in, line, LINE_MOST, &len, progress->at + 1, err)) > 0) {
        if (import_line(import, line, len, err) != 0)
            got = -1;
        progress->to = progress->at + 1;
        progress_at(progress, progress->at + 1);
    }
    free(line);
    return got;
}

static int import_all(struct ctl *ctl, FILE *in, struct err *err)
{
    struct import *import;
    struct progress progress;
    struct log_head head;
    char hash[2 * SHA256_SIZE + 1];
    if (import_begin(&import, ctl->db, &MODEL, err) != 0)
        return -1;
    int status = read_lines(import, in, &progress, err);
    progress_end(&progress);
    if (status == 0)
        status = import_commit(import, &head, err);
    import_close(&import);
    if (status != 0)
        return -1;
    hex_encode(head.hash, SHA256_SIZE, hash);
    printf("imported %" PRId64 " events, %.0f events/s\nlog      ends at position %" PRId64 ", hash %s\n", progress.at,
           progress_rate(&progress), head.position, hash);
    return 0;
}

int ctl_import(struct ctl *ctl, int argc, char **argv)
{
    struct err err;
    if (argc > 2 || (argc == 2 && argv[1][0] == '-' && argv[1][1] != '\0'))
        return ctl_usage("import [FILE]");
    bool named = argc == 2 && strcmp(argv[1], "-") != 0;
    if (!named && isatty(STDIN_FILENO)) {
        fprintf(stderr, "courantctl: import reads a file, or standard input that is no terminal\n");
        return CTL_FAILED;
    }
    FILE *in = named ? fopen(argv[1], "re") : stdin;
    int status =
        in != NULL ? import_all(ctl, in, &err) : fail(&err, ERR_UNAVAILABLE, "%.200s: %s", argv[1], strerror(errno));
    if (named && in != NULL)
        fclose(in);
    if (status == 0)
        return CTL_OK;
    ctl_error(&err);
    fprintf(stderr, "courantctl: nothing was imported\n");
    return err.kind == ERR_INVALID ? CTL_REFUSED : CTL_FAILED;
}
