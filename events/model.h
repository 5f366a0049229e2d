/*
 * The model: what kinds of things there are, which events make them, and which row each of them is.
 *
 * A read model is a table of which every row is the fold of one stream («article-<id>» and the row with that id). In
 * memory it is a state: a struct of the domain, whose members the columns name. apply changes a state by one event; it
 * is pure, and the only code that does. The same apply makes the row that a command writes, the state as of any
 * version, the rebuilt table, and what `verify` compares.
 *
 * Events are kept as they were written. An event type has a schema number, and for each older one an upcaster that
 * brings an event from it to the next; whoever folds or shows events brings them to today's form first. The number
 * stands in the metadata as "schema", and is 1 where there is none.
 *
 * Some columns follow from the others (what a query answers, as it is sent); derive makes them before a row is written
 * or compared. A side (struct side) is a table that follows from the rows.
 *
 * A state that is all zero is that of a stream without events. Texts of a state live in the arena of whoever made it.
 */
#ifndef COURANT_EVENTS_MODEL_H
#define COURANT_EVENTS_MODEL_H

#include "base/buf.h"
#include "base/conf.h"
#include "events/actor.h"
#include "events/event.h"
#include "events/side_rows.h"
#include "sql/db.h"

#define ACTOR_CHANGED "actor"

struct command;
struct sql_batch;

struct command_type;

enum column_type {
    COLUMN_TEXT,   /* const char * */
    COLUMN_STR,    /* struct str */
    COLUMN_NUMBER, /* int64_t */
    COLUMN_MOMENT, /* int64_t, a moment; INT64_MIN is NULL */
};

/*
 * A table of which every row follows from one row of a read model: an index of a kind that the table itself cannot
 * have. Its first column is the id of that row; of one row there may be several here, or none.
 */
struct side {
    const char *name;    /* sorts after that of the read model: see rebuild_switch.c */
    const char *columns; /* «id, tag», texts */
    size_t column_count;
    /* Adds the rows of one state, in the order of these columns; pure. */
    void (*rows)(const void *state, struct side_rows *rows);
    /* Whether the rows of one state differ from those of another; of the zero state there are none. */
    bool (*moved)(const void *before, const void *after);
};

struct column {
    const char *name;
    enum column_type type;
    size_t offset; /* in the state */
    bool derived;  /* by derive, from the others; these come last */
};

enum { COLUMNS_MOST = 32, SIDES_MOST = 4 };

struct read_model {
    const char *name;             /* «articles»: the table, and the switch in [features] */
    const char *category;         /* «article»: what its streams begin with, before the - */
    const char *path;             /* «/api/articles»: where one of them is found under its id; NULL: nowhere */
    const char *imported;         /* the type of the event that stands for a row written in direct mode */
    size_t direct;                /* offset in struct conf of the switch */
    const struct column *columns; /* the first is the id, COLUMN_TEXT; one is named version, COLUMN_NUMBER */
    size_t column_count;
    size_t state_size;
    /* What a command reads beside the row, for json: an SQL expression, and the member (a text) for it. NULL: nothing.
     */
    const char *lookup;
    size_t lookup_offset;
    /* The state as the one who has changed it sees it, and all that the row holds, for the imported event. */
    void (*json)(struct buf *buf, const void *state, const struct actor *actor);
    void (*whole_json)(struct buf *buf, const void *state);
    /*
     * Adds a statement that SIGNALs ACTOR_CHANGED unless the command's actor is still who it was judged as: its session
     * was asked before the thing's row was waited for. For commands that are `vouched`. May be NULL.
     */
    void (*vouch)(struct sql_batch *batch, const struct command *command);
    /* The user whose name or address json shows; NULL where it shows none. */
    const char *(*about)(const void *state, const struct actor *actor);
    /* Who may see an event of a thing in this state (events/actor.h); NULL when the arena is exhausted. */
    const char *(*audience)(const void *state, struct arena *arena);
    /* Whether a thing is for everybody after an imported event; NULL: such a one has no effect of its own. */
    bool (*imported_shows)(const struct envelope *event);
    /* Its events hold sealed data, for the subject that the stream is about: see events/seal.h. */
    bool sealed;
    /* Sets the derived columns; pure. key: of a sealed one, where there is one. NULL: there are none. */
    int (*derive)(void *state, const unsigned char *key, struct arena *arena, struct err *err);
    /* A unique key whose value decide chooses: where it is taken, decide is asked again with command.clashes raised. */
    const char *chosen_key;
    const struct side *sides;
    size_t side_count;
};

/* What an event does to what is shown of its stream. */
enum event_effect {
    EVENT_CONTENT = 1,   /* nothing, but it says what the thing holds: withheld while that is withdrawn */
    EVENT_SHOWS = 2,     /* it is for everybody from here on */
    EVENT_WITHDRAWS = 4, /* no longer */
};

/* From one schema to the next: new data in the arena. It sees the whole event, and changes none of it. */
typedef int (*upcaster)(const struct envelope *event, struct arena *arena, struct str *data, struct err *err);

struct event_type {
    const char *name;
    const struct read_model *model; /* NULL: it makes no row, and is there for its own sake */
    int (*apply)(void *state, const struct envelope *event, struct arena *arena, struct err *err);
    int schema;                /* today's; 0 is 1 */
    const upcaster *upcasters; /* [n] brings schema n + 1 to n + 2; schema - 1 of them */
    unsigned effect;           /* event_effect, ored */
    bool begins;               /* it may be the first of a stream */
};

struct model {
    const struct event_type *events;
    size_t event_count;
    const struct read_model *const *read_models;
    size_t read_model_count;
    const struct command_type *const *commands; /* those that clients may send */
    size_t command_count;
    /*
     * Calls add for each stream whose thing is not for everybody, by the rows as they are now; false from add ends it
     * with ERR_UNAVAILABLE. The arena is reset meanwhile.
     */
    int (*withdrawn)(struct sql *db, struct arena *arena, bool (*add)(void *context, const char *stream), void *context,
                     struct err *err);
};

/* NULL where there is none. */
const struct event_type *model_event(const struct model *model, const char *type);
const struct read_model *model_of_stream(const struct model *model, const char *stream);
const struct read_model *model_named(const struct model *model, const char *name);

/* Whether it is of a type that makes no row. */
bool model_rowless(const struct model *model, const struct envelope *event);

/* What an event does, by its type; an imported one, by what it says too. One of an unknown type may hold anything. */
unsigned model_effect(const struct model *model, const struct envelope *event);

bool read_model_direct(const struct read_model *model, const struct conf *conf);

/*
 * Brings an event to today's form: its data then may no longer match its digest. ERR_INTERNAL for one that a newer
 * Courant has written; an unknown type stays as it is.
 */
int model_upcast(const struct model *model, struct envelope *event, struct arena *arena, struct err *err);

/*
 * One more event into the state of its stream. ERR_CONFLICT when it is not the next: versions rise by one, save that an
 * imported event, which stands for changes outside the log, may leave some out.
 */
int model_fold(const struct model *model, void *state, const struct envelope *event, struct arena *arena,
               struct err *err);

int64_t state_version(const struct read_model *model, const void *state);
/* When it was changed last, by its column «updated_at»; INT64_MIN without one, and for one that is all zero. */
int64_t state_changed(const struct read_model *model, const void *state);
void state_set_version(const struct read_model *model, void *state, int64_t version);

/* A copy in one block, which begins with the state and has its texts behind: how large it is, and the making of it. */
size_t state_bytes(const struct read_model *model, const void *state);
void state_pack(const struct read_model *model, const void *state, void *block);

/* The first column in which two states differ; NULL when they are the same, byte for byte. */
const struct column *state_difference(const struct read_model *model, const void *a, const void *b);

/* The derived columns of a state, if there are any. */
int state_derive(const struct read_model *model, void *state, const unsigned char *key, struct arena *arena,
                 struct err *err);

/* «SELECT <columns> FROM <table> <rest>»; NULL when the arena is exhausted. */
const char *row_select(const struct read_model *model, struct arena *arena, const char *table, const char *rest);
/* The same, and behind its columns these. */
const char *row_select_more(const struct read_model *model, struct arena *arena, const char *more, const char *table,
                            const char *rest);
/* The same without the derived columns, but with what is looked up at the end. */
const char *row_select_state(const struct read_model *model, struct arena *arena, const char *table, const char *rest);

/* A row of such a SELECT as a state, whose texts are those of the rows. */
void row_state(const struct read_model *model, const struct sql_rows *rows, size_t row, void *state);

/* The state as values, column by column; count must be column_count. Texts of moments live in the arena. */
void row_values(const struct read_model *model, const void *state, struct arena *arena, struct sql_arg *values);

/*
 * Adds to a batch the statements that make a stream's row, or change it from one state to another, and its sides.
 * before: a zero state for a new row.
 */
void row_write(const struct read_model *model, struct sql_batch *batch, const void *before, const void *state);

#endif
