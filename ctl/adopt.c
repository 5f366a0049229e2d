/* courantctl adopt [MODEL...]: rows that were written in direct mode, into the log. */
#include "ctl/ctl.h"

#include "domain/model.h"
#include "events/adopt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TRIES = 8 };

static const char USAGE[] = "adopt [MODEL...]";

/* Once more where a command held the row, or a deadlock was broken. */
static int adopt(struct ctl *ctl, const struct read_model *rows, const char *id, struct arena *arena, struct err *err)
{
    int done = -1;
    for (int try = 0; try < TRIES; try++) {
        arena_reset(arena);
        done = adopt_row(ctl->db, &MODEL, rows, id, &OPERATOR, arena, err);
        if (done >= 0 || err->kind != ERR_TRANSIENT)
            break;
    }
    return done;
}

static int adopt_model(struct ctl *ctl, const struct read_model *rows, struct arena *arena, struct err *err)
{
    struct sql_rows found;
    char after[64] = "";
    int64_t count = 0, refused = 0;
    if (read_model_direct(rows, &ctl->conf))
        printf(
            "note     %s is in direct mode by this configuration: what is written from now on needs adopting again\n",
            rows->name);
    do {
        arena_reset(ctl->arena);
        if (adopt_find(ctl->db, ctl->arena, rows, after, &found, err) != 0)
            return -1;
        for (size_t i = 0; i < found.count; i++) {
            int done = adopt(ctl, rows, SQL_CELL(&found, i, 0).data, arena, err);
            if (done < 0 && err->kind != ERR_CONFLICT)
                return -1;
            /* One row is no reason to leave the others. */
            if (done < 0)
                ctl_error(err);
            refused += done < 0;
            count += done > 0;
            snprintf(after, sizeof after, "%s", SQL_CELL(&found, i, 0).data);
        }
    } while (found.count == ADOPT_PAGE);
    printf("adopted  %s: %" PRId64 " row%s\n", rows->name, count, count == 1 ? "" : "s");
    if (refused > 0)
        return fail(err, ERR_CONFLICT, "%s: %" PRId64 " row%s not adopted", rows->name, refused,
                    refused == 1 ? " was" : "s were");
    return 0;
}

int ctl_adopt(struct ctl *ctl, int argc, char **argv)
{
    struct err err;
    struct arena *arena = arena_new(64 * 1024 * 1024);
    int status = arena != NULL ? 0 : fail(&err, ERR_UNAVAILABLE, "no memory");
    for (int i = 1; i < argc; i++)
        if (model_named(&MODEL, argv[i]) == NULL) {
            ctl_no_model(argv[i]);
            arena_free(&arena);
            return ctl_usage(USAGE);
        }
    for (size_t i = 0; status == 0 && argc == 1 && i < MODEL.read_model_count; i++)
        status = adopt_model(ctl, MODEL.read_models[i], arena, &err);
    for (int i = 1; status == 0 && i < argc; i++)
        status = adopt_model(ctl, model_named(&MODEL, argv[i]), arena, &err);
    arena_free(&arena);
    return status == 0 ? CTL_OK : ctl_error(&err);
}
