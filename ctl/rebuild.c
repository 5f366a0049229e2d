/* courantctl rebuild [--check | --force] [MODEL...]: read models again from the log. */
#include "ctl/ctl.h"

#include "ctl/progress.h"
#include "domain/model.h"
#include "events/adopt.h"
#include "events/rebuild.h"
#include "events/rederive.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char USAGE[] = "rebuild [--check | --force] [MODEL...]";

struct wish {
    bool check, force;
    const struct read_model *models[REBUILD_MODELS + 1];
    size_t count;
};

static void add(struct wish *wish, const struct read_model *rows)
{
    for (size_t i = 0; i < wish->count; i++)
        if (wish->models[i] == rows)
            return;
    if (wish->count < REBUILD_MODELS)
        wish->models[wish->count++] = rows;
}

static bool read_wish(int argc, char **argv, struct wish *wish)
{
    for (int i = 1; i < argc; i++) {
        const struct read_model *rows = model_named(&MODEL, argv[i]);
        if (strcmp(argv[i], "--check") == 0) {
            wish->check = true;
        } else if (strcmp(argv[i], "--force") == 0) {
            wish->force = true;
        } else if (rows != NULL) {
            add(wish, rows);
        } else {
            ctl_no_model(argv[i]);
            return false;
        }
    }
    for (size_t i = 0; wish->count == 0 && i < MODEL.read_model_count; i++)
        wish->models[i] = MODEL.read_models[i];
    return !(wish->check && wish->force);
}

/* What was written in direct mode is not in the log, and would be gone: it is to be adopted first. */
static int look_for_direct(struct ctl *ctl, const struct wish *wish, struct err *err)
{
    struct sql_rows found;
    for (size_t i = 0; wish->models[i] != NULL; i++) {
        const struct read_model *rows = wish->models[i];
        if (read_model_direct(rows, &ctl->conf))
            return fail(err, ERR_CONFLICT,
                        "%s is in direct mode: what is written meanwhile would be lost; --force does it", rows->name);
        if (adopt_find(ctl->db, ctl->arena, rows, "", &found, err) != 0)
            return -1;
        if (found.count > 0)
            return fail(
                err, ERR_CONFLICT,
                "%s: what row %s holds is not in the log and would be lost; courantctl adopt %s brings it there, "
                "--force lets it go",
                rows->name, SQL_CELL(&found, 0, 0).data, rows->name);
    }
    return 0;
}

/* What is wished and not made once more. */
static void say_done(const struct rebuild *rebuild, const struct wish *wish)
{
    const struct read_model *const *made = rebuild_models(rebuild);
    for (size_t i = 0; wish->models[i] != NULL; i++)
        if (*made == wish->models[i])
            made++;
        else
            printf("model    %s: in place already, by the run that was broken off\n", wish->models[i]->name);
}

static int fold_all(struct ctl *ctl, struct rebuild *rebuild, const struct wish *wish, struct err *err)
{
    struct log_head head;
    struct progress progress;
    int more = 1;
    if (eventlog_head(ctl->db, ctl->arena, &head, err) != 0)
        return -1;
    if (rebuild_position(rebuild) > 0)
        printf("folded   taken up at position %" PRId64 ", where an earlier run was broken off\n",
               rebuild_position(rebuild));
    say_done(rebuild, wish);
    progress_start(&progress, "rebuild", rebuild_position(rebuild), head.position);
    while (more > 0) {
        more = rebuild_step(rebuild, err);
        progress_at(&progress, rebuild_position(rebuild));
    }
    progress_end(&progress);
    if (more == 0)
        printf("folded   %" PRId64 " events, %.0f events/s\n", rebuild_position(rebuild), progress_rate(&progress));
    return more;
}

static void say_result(const struct read_model *rows, const struct rebuild_result *result, bool check)
{
    for (int64_t i = 0; i < result->differences && i < REBUILD_NAMED; i++)
        printf("DIFFERENT %s\n", result->named[i]);
    printf("model    %s: %" PRId64 " rows compared, %" PRId64 " different", rows->name, result->rows,
           result->differences);
    if (check)
        printf("; nothing was changed\n");
    else
        printf("; the new table is in place, commands waited for %.0f ms\n", (double)result->pause_us / 1000);
}

static int finish(struct rebuild *rebuild, const struct wish *wish, int64_t *differences, struct err *err)
{
    const struct read_model *const *models = rebuild_models(rebuild);
    for (size_t i = 0; models[i] != NULL; i++) {
        struct rebuild_result result;
        if (rebuild_compare(rebuild, models[i], &result, err) != 0 ||
            (!wish->check && rebuild_switch(rebuild, models[i], &result, err) != 0))
            return -1;
        say_result(models[i], &result, wish->check);
        *differences += result.differences;
    }
    return rebuild_finish(rebuild, err);
}

static int rebuild_all(struct ctl *ctl, const struct wish *wish, int64_t *differences, struct err *err)
{
    struct rebuild *rebuild;
    if (!wish->check && !wish->force && look_for_direct(ctl, wish, err) != 0)
        return -1;
    if (rebuild_open(&rebuild, &ctl->conf, &MODEL, wish->models, wish->count == 0 && !wish->check && !wish->force,
                     err) != 0)
        return -1;
    int status = fold_all(ctl, rebuild, wish, err);
    if (status == 0)
        status = finish(rebuild, wish, differences, err);
    rebuild_close(&rebuild);
    return status;
}

/* What no event has made is derived where it is. 1 there was such, 0 there is none. */
static int derive_direct(struct ctl *ctl, const struct read_model *rows, struct err *err)
{
    struct sql_rows found;
    int64_t count = 0;
    if (adopt_find(ctl->db, ctl->arena, rows, "", &found, err) != 0)
        return -1;
    if (!read_model_direct(rows, &ctl->conf) && found.count == 0)
        return 0;
    if (rederive(ctl->db, &MODEL, rows, &count, err) != 0)
        return -1;
    printf("derived  %s: %" PRId64 " rows where they are, for some are not in the log: see courantctl adopt\n",
           rows->name, count);
    return 1;
}

int ctl_rebuild_migrated(struct ctl *ctl, struct err *err)
{
    struct sql_rows rows;
    struct wish wish = {0};
    int64_t differences = 0;
    if (sql_select(ctl->db, ctl->arena, "SELECT SUBSTRING(model, 11) FROM rebuilds WHERE model LIKE 'migration:%'",
                   NULL, 0, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++) {
        const struct read_model *model = model_named(&MODEL, SQL_CELL(&rows, i, 0).data);
        int direct = model != NULL ? derive_direct(ctl, model, err) : 1;
        if (direct < 0)
            return -1;
        if (direct == 0)
            add(&wish, model);
    }
    if (wish.count > 0)
        printf("rebuilding what the migrations have changed; until then some of it is not to be read\n");
    if (wish.count > 0 && rebuild_all(ctl, &wish, &differences, err) != 0)
        return -1;
    return sql_exec(ctl->db, "DELETE FROM rebuilds WHERE model LIKE 'migration:%'", NULL, 0, NULL, err);
}

int ctl_rebuild(struct ctl *ctl, int argc, char **argv)
{
    struct wish wish = {0};
    struct err err;
    int64_t differences = 0;
    if (!read_wish(argc, argv, &wish))
        return ctl_usage(USAGE);
    if (rebuild_all(ctl, &wish, &differences, &err) != 0)
        return ctl_error(&err);
    return wish.check && differences > 0 ? CTL_REFUSED : CTL_OK;
}
