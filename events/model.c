/* Event types, upcasting and folding. See model.h. */
#include "events/model.h"

#include <inttypes.h>
#include <string.h>

const struct event_type *model_event(const struct model *model, const char *type)
{
    for (size_t i = 0; i < model->event_count; i++)
        if (strcmp(model->events[i].name, type) == 0)
            return &model->events[i];
    return NULL;
}

const struct read_model *model_of_stream(const struct model *model, const char *stream)
{
    for (size_t i = 0; i < model->read_model_count; i++) {
        size_t len = strlen(model->read_models[i]->category);
        if (strncmp(stream, model->read_models[i]->category, len) == 0 && stream[len] == '-')
            return model->read_models[i];
    }
    return NULL;
}

const struct read_model *model_named(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->read_model_count; i++)
        if (strcmp(model->read_models[i]->name, name) == 0)
            return model->read_models[i];
    return NULL;
}

bool model_rowless(const struct model *model, const struct envelope *event)
{
    const struct event_type *type = model_event(model, event->type);
    return type != NULL && type->model == NULL;
}

unsigned model_effect(const struct model *model, const struct envelope *event)
{
    const struct event_type *type = model_event(model, event->type);
    if (type == NULL)
        return EVENT_CONTENT;
    if (type->model == NULL || type->model->imported_shows == NULL || strcmp(event->type, type->model->imported) != 0)
        return type->effect;
    return type->effect | (type->model->imported_shows(event) ? EVENT_SHOWS : EVENT_WITHDRAWS);
}

bool read_model_direct(const struct read_model *model, const struct conf *conf)
{
    return strcmp((const char *)conf + model->direct, "direct") == 0;
}

int model_upcast(const struct model *model, struct envelope *event, struct arena *arena, struct err *err)
{
    const struct event_type *type = model_event(model, event->type);
    int today = type != NULL && type->schema > 0 ? type->schema : 1;
    if (type == NULL || event->schema == today)
        return 0;
    if (event->schema < 1 || event->schema > today)
        return fail(err, ERR_DAMAGED, "position %" PRId64 ": %.64s of schema %d; this Courant knows 1 to %d",
                    event->position, event->type, event->schema, today);
    for (; event->schema < today; event->schema++)
        if (type->upcasters[event->schema - 1](event, arena, &event->data, err) != 0)
            return -1;
    return 0;
}

static bool is_next(const struct read_model *model, int64_t version, const struct envelope *event)
{
    return event->version == version + 1 || (event->version > version && strcmp(event->type, model->imported) == 0);
}

int model_fold(const struct model *model, void *state, const struct envelope *event, struct arena *arena,
               struct err *err)
{
    struct envelope today = *event;
    const struct event_type *type = model_event(model, event->type);
    const struct read_model *rows = model_of_stream(model, event->stream);
    if (type == NULL || rows == NULL || type->model != rows)
        return fail(err, ERR_DAMAGED, "position %" PRId64 ": there is no projection for %.64s in %.64s",
                    event->position, event->type, event->stream);
    if (!is_next(rows, state_version(rows, state), event))
        return fail(err, ERR_CONFLICT, "position %" PRId64 ": version %" PRId64 " of %.64s comes after %" PRId64,
                    event->position, event->version, event->stream, state_version(rows, state));
    if (model_upcast(model, &today, arena, err) != 0)
        return -1;
    if (state_version(rows, state) == 0 && !type->begins)
        return fail(err, ERR_DAMAGED, "position %" PRId64 ": %.64s cannot be the first of %.64s", event->position,
                    event->type, event->stream);
    if (type->apply(state, &today, arena, err) != 0)
        return -1;
    state_set_version(rows, state, event->version);
    return 0;
}
