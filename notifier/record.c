/* Events as text. See record.h. */
#include "notifier/record.h"

#include "base/buf.h"
#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct str render(struct arena *scratch, const struct envelope *event, bool with_metadata)
{
    struct buf buf;
    struct str json = event_public_json(scratch, event, with_metadata);
    buf_init(&buf, scratch);
    buf_room(&buf, json.len + strlen(event->type) + 64);
    buf_printf(&buf, "id: %" PRId64 "\nevent: %s\ndata: ", event->position, event->type);
    buf_add(&buf, json.data, json.len);
    buf_puts(&buf, "\n\n");
    return buf.failed || json.data == NULL ? (struct str){NULL, 0} : buf_str(&buf);
}

static size_t common(struct str a, struct str b)
{
    size_t len = 0;
    while (len < a.len && len < b.len && a.data[len] == b.data[len])
        len++;
    return len;
}

static enum category category_of(const char *type)
{
    static const struct {
        const char *prefix;
        enum category category;
    } PREFIXES[] = {
        {"article.", CATEGORY_ARTICLE},
        {"link.", CATEGORY_LINK},
        {"canary.", CATEGORY_CANARY},
    };
    for (size_t i = 0; i < sizeof PREFIXES / sizeof PREFIXES[0]; i++)
        if (strncmp(type, PREFIXES[i].prefix, strlen(PREFIXES[i].prefix)) == 0)
            return PREFIXES[i].category;
    return CATEGORY_OTHER;
}

/* Texts that are copied behind the record, each with a NUL. */
enum { STREAM, AUDIENCE, USER, ENDED_USER, ENDED_SESSION, SPARED, TEXT, REST, TEXTS };

static const char *put(char **at, struct str text)
{
    char *start = *at;
    if (text.data == NULL)
        return NULL;
    memcpy(start, text.data, text.len);
    start[text.len] = '\0';
    *at += text.len + 1;
    return start;
}

static struct record *make(const struct envelope *event, const struct str texts[TEXTS])
{
    size_t size = sizeof(struct record);
    for (int i = 0; i < TEXTS; i++)
        size += texts[i].data != NULL ? texts[i].len + 1 : 0;
    struct record *record = malloc(size);
    if (record == NULL)
        return NULL;
    char *at = (char *)(record + 1);
    const char *copies[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        copies[i] = put(&at, texts[i]);
    *record = (struct record){.category = category_of(event->type),
                              .position = event->position,
                              .recorded_at = event->recorded_at,
                              .stream = copies[STREAM],
                              .audience = copies[AUDIENCE],
                              .acting_user = copies[USER],
                              .text = {copies[TEXT], texts[TEXT].len},
                              .rest = {copies[REST], texts[REST].len},
                              .size = size,
                              .public = audience_public(event->audience),
                              .ending = {copies[ENDED_USER], copies[ENDED_SESSION], copies[SPARED], false}};
    atomic_init(&record->references, 1);
    atomic_init(&record->judged, 0);
    return record;
}

static struct str str_or_none(const char *text)
{
    return text != NULL ? str_of(text) : (struct str){NULL, 0};
}

struct record *record_new(struct arena *scratch, const struct envelope *event, unsigned effect)
{
    struct str text = render(scratch, event, false), whole = render(scratch, event, true);
    struct str user = json_member(event->metadata, "user_id");
    struct ending ending = {0};
    if (text.data == NULL || whole.data == NULL)
        return NULL;
    bool ends = session_ending(event, scratch, &ending);
    size_t shared = common(text, whole);
    const struct str texts[TEXTS] = {
        [STREAM] = str_of(event->stream),
        [AUDIENCE] = str_of(event->audience),
        [USER] = user.len > 2 ? (struct str){user.data + 1, user.len - 2} : (struct str){NULL, 0},
        [ENDED_USER] = str_or_none(ends ? ending.user_id : NULL),
        [ENDED_SESSION] = str_or_none(ends ? ending.session_id : NULL),
        [SPARED] = str_or_none(ends ? ending.spared : NULL),
        [TEXT] = text,
        [REST] = {whole.data + shared, whole.len - shared},
    };
    struct record *record = make(event, texts);
    if (record == NULL)
        return NULL;
    record->shared = shared;
    record->effect = effect;
    record->content = (effect & EVENT_CONTENT) != 0;
    record->ending.over = ends && ending.over;
    return record;
}

struct record *record_keep(struct record *record)
{
    atomic_fetch_add_explicit(&record->references, 1, memory_order_relaxed);
    return record;
}

void record_drop(struct record **record)
{
    if (*record != NULL && atomic_fetch_sub_explicit(&(*record)->references, 1, memory_order_acq_rel) == 1)
        free(*record);
    *record = NULL;
}

bool record_ends(const struct record *record, const struct actor *reader)
{
    const struct ending *ending = &record->ending;
    if (ending->user_id == NULL || reader->user_id == NULL || strcmp(ending->user_id, reader->user_id) != 0)
        return false;
    if (ending->session_id != NULL)
        return strcmp(ending->session_id, reader->session_id) == 0;
    /* What spares a session spares the programs that have a token of their own. */
    return ending->spared == NULL || (reader->scopes == NULL && strcmp(ending->spared, reader->session_id) != 0);
}

bool records_add(struct records *records, struct record *record)
{
    if (records->count == records->room) {
        size_t room = records->room == 0 ? 64 : records->room * 2;
        struct record **items = realloc(records->items, room * sizeof(struct record *));
        if (items == NULL)
            return false;
        records->items = items;
        records->room = room;
    }
    records->items[records->count++] = record;
    return true;
}

void records_free(struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        record_drop(&records->items[i]);
    free(records->items);
    *records = (struct records){0};
}
