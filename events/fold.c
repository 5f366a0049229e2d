/* Folding a stream. See fold.h. */
#include "events/fold.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, PAGE_LIMIT = 256 * 1024 * 1024 };

/* Where a fold is. Between two pages of events the state's texts are in a block of its own. */
struct folding {
    struct sql *db;
    const struct model *model;
    const struct read_model *rows;
    struct arena *page;
    const char *stream;
    int64_t version, moment;
    void *state, *block;
    bool done;
};

static int keep(struct folding *folding, struct err *err)
{
    void *block = malloc(state_bytes(folding->rows, folding->state));
    if (block == NULL)
        return fail(err, ERR_UNAVAILABLE, "no memory to fold %.64s", folding->stream);
    state_pack(folding->rows, folding->state, block);
    memcpy(folding->state, block, folding->rows->state_size);
    free(folding->block);
    folding->block = block;
    return 0;
}

/* What was brought into the log later says itself since when it was so. */
static int64_t moment_of(const struct folding *folding, const struct envelope *event)
{
    int64_t since = strcmp(event->type, folding->rows->imported) == 0
                        ? json_moment(json_member(event->data, "updated_at"))
                        : INT64_MIN;
    return since != INT64_MIN ? since : event->recorded_at;
}

static int fold_page(struct folding *folding, struct err *err)
{
    struct event_list list;
    int64_t after = state_version(folding->rows, folding->state);
    arena_reset(folding->page);
    if (eventlog_read_stream(folding->db, folding->page, folding->stream, after, folding->version, PAGE, &list, err) !=
        0)
        return -1;
    folding->done = list.count < PAGE;
    for (size_t i = 0; i < list.count; i++) {
        if (moment_of(folding, &list.events[i]) > folding->moment) {
            folding->done = true;
            break;
        }
        if (model_fold(folding->model, folding->state, &list.events[i], folding->page, err) != 0)
            return -1;
    }
    return keep(folding, err);
}

int fold_stream(struct sql *db, const struct model *model, struct arena *arena, const char *stream, int64_t version,
                int64_t moment, void *state, struct err *err)
{
    struct folding folding = {.db = db,
                              .model = model,
                              .rows = model_of_stream(model, stream),
                              .page = arena_new(PAGE_LIMIT),
                              .stream = stream,
                              .version = version,
                              .moment = moment,
                              .state = state};
    if (folding.rows == NULL || folding.page == NULL) {
        arena_free(&folding.page);
        return fail(err, ERR_INTERNAL, "no read model, or no memory, for stream %.64s", stream);
    }
    memset(state, 0, folding.rows->state_size);
    int status = 0;
    while (status == 0 && !folding.done)
        status = fold_page(&folding, err);
    void *block = status == 0 ? arena_alloc(arena, state_bytes(folding.rows, state)) : NULL;
    if (block != NULL) {
        state_pack(folding.rows, state, block);
        memcpy(state, block, folding.rows->state_size);
    } else if (status == 0) {
        status = fail(err, ERR_INTERNAL, "no room for %.64s", stream);
    }
    free(folding.block);
    arena_free(&folding.page);
    return status;
}
