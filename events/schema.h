/*
 * The form of a command's payload: which members, of which types and lengths. All faults are found at once.
 */
#ifndef COURANT_EVENTS_SCHEMA_H
#define COURANT_EVENTS_SCHEMA_H

#include "base/buf.h"
#include "base/conf.h"
#include "base/json.h"

enum field_type { FIELD_TEXT, FIELD_FLAG, FIELD_TEXTS, FIELD_ID, FIELD_NUMBER };

struct field {
    const char *name;
    enum field_type type;
    bool required;
    bool nullable;      /* null stands for nothing: "" or [] */
    size_t least, most; /* code points of a text, or of each of FIELD_TEXTS; the least of a FIELD_NUMBER */
    size_t items;       /* the most that FIELD_TEXTS may hold, no two alike */
    size_t most_option; /* offset in struct conf of an int64_t that stands in for most; 0: none */
};

struct fault {
    const char *pointer; /* RFC 6901 */
    const char *detail;
};

enum { FAULTS_MOST = 64 };

struct faults {
    size_t count;
    struct fault list[FAULTS_MOST];
};

/* Whether the payload is an object of this form; otherwise faults says why, with texts in the arena. */
bool schema_check(const struct field *fields, size_t count, const struct conf *conf, struct json_object *payload,
                  struct arena *arena, struct faults *faults);

/* The same as a JSON Schema (draft 2020-12). */
void schema_json(const struct field *fields, size_t count, const struct conf *conf, struct buf *buf);

void fault_add(struct faults *faults, const char *pointer, const char *detail);

#endif
