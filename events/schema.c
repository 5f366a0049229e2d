/* Checking a payload. See schema.h. */
#include "events/schema.h"

#include "base/id.h"

#include <string.h>

/* Items of an array, which may be too many. */
enum { LOOKED_AT = 100 };

struct check {
    const struct conf *conf;
    struct arena *arena;
    struct faults *faults;
};

void fault_add(struct faults *faults, const char *pointer, const char *detail)
{
    if (faults->count < FAULTS_MOST && pointer != NULL && detail != NULL)
        faults->list[faults->count++] = (struct fault){pointer, detail};
}

/* «/name» with ~ and / escaped (RFC 6901). */
static const char *pointer_to(struct arena *arena, const char *name)
{
    struct buf buf;
    buf_init(&buf, arena);
    buf_puts(&buf, "/");
    for (; *name != '\0'; name++)
        *name == '~' ? buf_puts(&buf, "~0") : *name == '/' ? buf_puts(&buf, "~1") : buf_add(&buf, name, 1);
    buf_add(&buf, "", 1);
    return buf.failed ? NULL : buf.data;
}

static size_t most_of(const struct conf *conf, const struct field *field)
{
    int64_t most;
    if (field->most_option == 0)
        return field->most;
    memcpy(&most, (const char *)conf + field->most_option, sizeof most);
    return (size_t)most;
}

static void check_text(const struct check *check, const struct field *field, struct json_object *value,
                       const char *pointer)
{
    size_t most = most_of(check->conf, field);
    if (!json_object_is_type(value, json_type_string)) {
        fault_add(check->faults, pointer, "must be a string");
        return;
    }
    const char *text = json_object_get_string(value);
    size_t len = (size_t)json_object_get_string_len(value), points = utf8_length(text, len);
    if (points < field->least)
        fault_add(check->faults, pointer,
                  arena_printf(check->arena, "must have at least %zu character%s", field->least,
                               field->least == 1 ? "" : "s"));
    if (points > most)
        fault_add(check->faults, pointer,
                  arena_printf(check->arena, "must have at most %zu characters, has %zu", most, points));
    if (memchr(text, '\0', len) != NULL)
        fault_add(check->faults, pointer, "must not hold the character U+0000");
}

static void check_id(const struct check *check, struct json_object *value, const char *pointer)
{
    if (!json_object_is_type(value, json_type_string) ||
        !id_valid(json_object_get_string(value), (size_t)json_object_get_string_len(value)))
        fault_add(check->faults, pointer, "must be an id");
}

/* Whether the item is one of those before it. */
static bool is_repeated(struct json_object *array, size_t item)
{
    for (size_t i = 0; i < item; i++)
        if (json_object_equal(json_object_array_get_idx(array, i), json_object_array_get_idx(array, item)))
            return true;
    return false;
}

static void check_texts(const struct check *check, const struct field *field, struct json_object *value,
                        const char *pointer)
{
    if (!json_object_is_type(value, json_type_array)) {
        fault_add(check->faults, pointer, "must be an array of strings");
        return;
    }
    size_t count = json_object_array_length(value);
    if (count > field->items)
        fault_add(check->faults, pointer,
                  arena_printf(check->arena, "must have at most %zu items, has %zu", field->items, count));
    for (size_t i = 0; i < count && i < LOOKED_AT; i++) {
        const char *at = arena_printf(check->arena, "%s/%zu", pointer, i);
        check_text(check, field, json_object_array_get_idx(value, i), at);
        if (is_repeated(value, i))
            fault_add(check->faults, at, "is there twice");
    }
}

static void check_number(const struct check *check, const struct field *field, struct json_object *value,
                         const char *pointer)
{
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < (int64_t)field->least)
        fault_add(check->faults, pointer,
                  arena_printf(check->arena, "must be a whole number from %zu on", field->least));
}

static void check_field(const struct check *check, const struct field *field, struct json_object *payload)
{
    struct json_object *value = NULL;
    const char *pointer = pointer_to(check->arena, field->name);
    if (!json_object_object_get_ex(payload, field->name, &value)) {
        if (field->required)
            fault_add(check->faults, pointer, "is missing");
        return;
    }
    if (value == NULL && field->nullable)
        return;
    if (field->type == FIELD_TEXT)
        check_text(check, field, value, pointer);
    else if (field->type == FIELD_TEXTS)
        check_texts(check, field, value, pointer);
    else if (field->type == FIELD_ID)
        check_id(check, value, pointer);
    else if (field->type == FIELD_NUMBER)
        check_number(check, field, value, pointer);
    else if (!json_object_is_type(value, json_type_boolean))
        fault_add(check->faults, pointer, "must be true or false");
}

static bool is_known(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return true;
    return false;
}

bool schema_check(const struct field *fields, size_t count, const struct conf *conf, struct json_object *payload,
                  struct arena *arena, struct faults *faults)
{
    struct check check = {conf, arena, faults};
    if (!json_object_is_type(payload, json_type_object)) {
        fault_add(faults, "", "must be an object");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        check_field(&check, &fields[i], payload);
    struct json_object_iterator at = json_object_iter_begin(payload), end = json_object_iter_end(payload);
    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *name = json_object_iter_peek_name(&at);
        if (!is_known(fields, count, name))
            fault_add(faults, pointer_to(arena, name), "is not a known member");
    }
    return faults->count == 0;
}

static void text_schema(const struct field *field, const struct conf *conf, struct buf *buf)
{
    const char *type = field->nullable && field->type == FIELD_TEXT ? "[\"string\",\"null\"]" : "\"string\"";
    buf_printf(buf, "{\"type\":%s,\"minLength\":%zu,\"maxLength\":%zu}", type, field->least, most_of(conf, field));
}

static void field_schema(const struct field *field, const struct conf *conf, struct buf *buf)
{
    switch (field->type) {
    case FIELD_TEXT:
        text_schema(field, conf, buf);
        break;
    case FIELD_TEXTS:
        buf_printf(buf, "{\"type\":%s,\"items\":", field->nullable ? "[\"array\",\"null\"]" : "\"array\"");
        text_schema(field, conf, buf);
        buf_printf(buf, ",\"maxItems\":%zu,\"uniqueItems\":true}", field->items);
        break;
    case FIELD_ID:
        buf_puts(buf, "{\"type\":\"string\",\"format\":\"uuid\"}");
        break;
    case FIELD_NUMBER:
        buf_printf(buf, "{\"type\":\"integer\",\"minimum\":%zu}", field->least);
        break;
    case FIELD_FLAG:
        buf_puts(buf, "{\"type\":\"boolean\"}");
    }
}

void schema_json(const struct field *fields, size_t count, const struct conf *conf, struct buf *buf)
{
    const char *separator = "";
    buf_puts(buf, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < count; i++) {
        buf_printf(buf, "%s\"%s\":", i > 0 ? "," : "", fields[i].name);
        field_schema(&fields[i], conf, buf);
    }
    buf_puts(buf, "},\"required\":[");
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].required)
            continue;
        buf_printf(buf, "%s\"%s\"", separator, fields[i].name);
        separator = ",";
    }
    buf_puts(buf, "],\"additionalProperties\":false}");
}
