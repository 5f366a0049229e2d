/*
 * In which form one append is sent to MariaDB: CONFIG WRITERS SECONDS ROUNDS. Each form takes the head's lock, inserts
 * two events with their hash chain and one article, commits and learns the position. A round runs each form once, with
 * WRITERS processes for SECONDS, on tables that are empty at first, and then checks every position and hash. Prints
 * medians of the rounds, and of each round's ratio to the form that Courant uses.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "events/event.h"

#include <mysql.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARENA_LIMIT = 4 * 1024 * 1024, CONTENT = 900, ROUNDS_MOST = 99, STATEMENTS_MOST = 8, PLACES_MOST = 64 };

/* ---- the values of one append ---------------------------------------------------------------------------------- */

enum { ARTICLE = 0, ARTICLE_VALUES = 12, EVENT_VALUES = 9, FIRST = 12, SECOND = 21, VALUES = 30 };

struct job {
    char article[ID_TEXT], stream[64], moment[CLOCK_TEXT], content[CONTENT + 1];
    struct envelope events[2];
    MYSQL_BIND values[VALUES];
};

static const char AUTHOR[] = "01a2071b-f843-7645-a001-b20b639515c1";

static void put(MYSQL_BIND *to, enum enum_field_types type, const void *data, size_t len)
{
    *to = (MYSQL_BIND){.buffer_type = type, .buffer = (void *)(uintptr_t)data, .buffer_length = len};
}

static void put_text(MYSQL_BIND *to, const char *text)
{
    put(to, MYSQL_TYPE_STRING, text, strlen(text));
}

static void make_event(struct job *job, struct arena *arena, int i)
{
    struct envelope *event = &job->events[i];
    MYSQL_BIND *to = job->values + (i == 0 ? FIRST : SECOND);
    *event = (struct envelope){.stream = job->stream,
                               .version = i + 1,
                               .type = i == 0 ? "article.created" : "article.revision_created",
                               .audience = "user:01a2071b-f843-7645-a001-b20b639515c1 permission:article_edit_any",
                               .recorded_at = clock_parse(job->moment, strlen(job->moment))};
    id_new(event->id);
    event->data = str_of(
        i == 0 ? arena_printf(arena,
                              "{\"id\":\"%s\",\"title\":\"Bench\",\"subtitle\":\"\",\"lead\":\"A lead\",\"content\":"
                              "\"%s\",\"tags\":[\"a\"],\"author\":{\"id\":\"%s\"}}",
                              job->article, job->content, AUTHOR)
               : arena_printf(arena, "{\"id\":\"%s\",\"revision\":1}", job->article));
    event->metadata = STR("{\"user_id\":\"01a2071b-f843-7645-a001-b20b639515c1\",\"session_id\":"
                          "\"01a2071b-f843-7645-a001-b20b639515c2\",\"source\":\"http\",\"trace_id\":"
                          "\"4bf92f3577b34da6a3ce929d0e0e4736\"}");
    event_digest(event, event->digest);
    put_text(&to[0], event->id);
    put_text(&to[1], event->stream);
    put(&to[2], MYSQL_TYPE_LONGLONG, &event->version, sizeof event->version);
    put_text(&to[3], event->type);
    put_text(&to[4], event->audience);
    put(&to[5], MYSQL_TYPE_STRING, event->data.data, event->data.len);
    put(&to[6], MYSQL_TYPE_STRING, event->metadata.data, event->metadata.len);
    put_text(&to[7], job->moment);
    put(&to[8], MYSQL_TYPE_BLOB, event->digest, SHA256_SIZE);
}

static void make_job(struct job *job, struct arena *arena)
{
    id_new(job->article);
    clock_sql(clock_now(), job->moment);
    snprintf(job->stream, sizeof job->stream, "article-%s", job->article);
    memset(job->content, 'x', CONTENT);
    job->content[CONTENT] = '\0';
    make_event(job, arena, 0);
    make_event(job, arena, 1);
    const char *texts[ARTICLE_VALUES] = {job->article, AUTHOR,    "draft", "Bench",     "",          "A lead",
                                         job->content, "[\"a\"]", NULL,    job->moment, job->moment, NULL};
    for (int i = 0; i < ARTICLE_VALUES; i++) {
        if (texts[i] != NULL)
            put_text(&job->values[ARTICLE + i], texts[i]);
        else
            put(&job->values[ARTICLE + i], MYSQL_TYPE_NULL, NULL, 0);
    }
    put(&job->values[ARTICLE + 8], MYSQL_TYPE_LONGLONG, &job->events[1].version, sizeof job->events[1].version);
}

/* ---- the forms ------------------------------------------------------------------------------------------------- */

/*
 * A text has marks in it: $a stands for the article's values, $1 and $2 for those of an event, $x and $y for the digest
 * of an event. What a mark becomes is up to the form: places, literals or a procedure's parameters.
 */
#define INSERT_ARTICLE                                                                                                 \
    "INSERT INTO articles (id, author_id, status, title, subtitle, lead, content, tags, version, "                     \
    "created_at, updated_at, published_at) VALUES ($a)"
#define INSERT_EVENT                                                                                                   \
    "INSERT INTO events (position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash) "   \
    "VALUES "
#define HANDLER "DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; "

/* The statements that sql/batch.c and events/eventlog.c put together. */
#define BODY                                                                                                           \
    HANDLER INSERT_ARTICLE                                                                                             \
        "; BEGIN DECLARE p BIGINT UNSIGNED; DECLARE h BINARY(32); "                                                    \
        "SELECT position, hash INTO p, h FROM log_head WHERE one = 1 FOR UPDATE; "                                     \
        "SET p = p + 1, h = UNHEX(SHA2(CONCAT(h, $x), 256)); " INSERT_EVENT "(p, $1, h); "                             \
        "SET p = p + 1, h = UNHEX(SHA2(CONCAT(h, $y), 256)); " INSERT_EVENT "(p, $2, h); "                             \
        "UPDATE log_head SET position = p, hash = h WHERE one = 1; SET @courant_position = p; END; COMMIT; "           \
        "SELECT @courant_position; END"

/* The same with log_head read and written by one UPDATE, and with variables of the session: fewer statements. */
#define SHORTER                                                                                                        \
    HANDLER INSERT_ARTICLE "; UPDATE log_head SET hash = (@g := UNHEX(SHA2(CONCAT(hash, $x), 256))), "                 \
                           "hash = (@h := UNHEX(SHA2(CONCAT(hash, $y), 256))), position = (@p := position + 2) WHERE " \
                           "one = 1; " INSERT_EVENT "(@p - 1, $1, @g); " INSERT_EVENT                                  \
                           "(@p, $2, @h); COMMIT; SELECT @p; END"

/* The position comes back as the «insert id» of the UPDATE, so that no further statement has to ask for it. */
static const char *const STATEMENTS[] = {
    "START TRANSACTION",
    INSERT_ARTICLE,
    "SELECT position, hash INTO @p, @h FROM log_head WHERE one = 1 FOR UPDATE",
    INSERT_EVENT "(@p := @p + 1, $1, @h := UNHEX(SHA2(CONCAT(@h, $x), 256)))",
    INSERT_EVENT "(@p := @p + 1, $2, @h := UNHEX(SHA2(CONCAT(@h, $y), 256)))",
    "UPDATE log_head SET position = LAST_INSERT_ID(@p), hash = @h WHERE one = 1",
    "COMMIT",
};
enum { STATEMENTS_COUNT = sizeof STATEMENTS / sizeof *STATEMENTS, TELLS = 5 };

static const char *const COMPOUND[] = {"BEGIN NOT ATOMIC " BODY};
static const char *const UPDATE[] = {"BEGIN NOT ATOMIC " SHORTER};
static const char *const CALL[] = {"CALL bench_append($a, $1, $2)"};

enum way { WAIT_EACH, PIPELINED, TEXT };

static const struct form {
    const char *name;
    enum way way;
    const char *const *texts;
    size_t count;
} FORMS[] = {
    {"compound", WAIT_EACH, COMPOUND, 1},
    {"update", WAIT_EACH, UPDATE, 1},
    {"procedure", WAIT_EACH, CALL, 1},
    {"text", TEXT, STATEMENTS, STATEMENTS_COUNT},
    {"pipelined", PIPELINED, STATEMENTS, STATEMENTS_COUNT},
    {"each", WAIT_EACH, STATEMENTS, STATEMENTS_COUNT},
};
enum { FORMS_COUNT = sizeof FORMS / sizeof *FORMS };

#define ASCII(size) "CHAR(" size ") CHARACTER SET ascii"
#define WIDE(size) "VARCHAR(" size ") CHARACTER SET utf8mb4"
#define EVENT_TYPES                                                                                                    \
    ASCII("36"), "VARCHAR(64) CHARACTER SET ascii", "BIGINT UNSIGNED", "VARCHAR(64) CHARACTER SET ascii",              \
        "VARCHAR(255) CHARACTER SET ascii", "LONGTEXT CHARACTER SET utf8mb4", "TEXT CHARACTER SET utf8mb4",            \
        "DATETIME(6)", "BINARY(32)"

static const char *const TYPES[VALUES] = {ASCII("36"),
                                          ASCII("36"),
                                          "VARCHAR(9) CHARACTER SET ascii",
                                          WIDE("200"),
                                          WIDE("200"),
                                          WIDE("1000"),
                                          "MEDIUMTEXT CHARACTER SET utf8mb4",
                                          "TEXT CHARACTER SET utf8mb4",
                                          "BIGINT UNSIGNED",
                                          "DATETIME(6)",
                                          "DATETIME(6)",
                                          "DATETIME(6)",
                                          EVENT_TYPES,
                                          EVENT_TYPES};

/* ---- texts ----------------------------------------------------------------------------------------------------- */

struct mark {
    char name;
    int from, count;
};

static struct mark mark_of(char name)
{
    static const struct mark MARKS[] = {{'a', ARTICLE, ARTICLE_VALUES},
                                        {'1', FIRST, EVENT_VALUES},
                                        {'2', SECOND, EVENT_VALUES},
                                        {'x', FIRST + EVENT_VALUES - 1, 1},
                                        {'y', SECOND + EVENT_VALUES - 1, 1}};
    for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS; i++)
        if (MARKS[i].name == name)
            return MARKS[i];
    return (struct mark){0};
}

/* Adds a text with what each adds for the values that its marks stand for. */
static void expand(const char *text, struct buf *out, void (*each)(struct buf *, int, void *), void *context)
{
    for (const char *next; (next = strchr(text, '$')) != NULL; text = next + 2) {
        struct mark mark = mark_of(next[1]);
        buf_add(out, text, (size_t)(next - text));
        for (int i = 0; i < mark.count; i++) {
            buf_puts(out, i > 0 ? ", " : "");
            each(out, mark.from + i, context);
        }
    }
    buf_puts(out, text);
}

struct prepared {
    MYSQL_STMT *handle;
    size_t count;
    int values[PLACES_MOST];
};

static void add_place(struct buf *out, int value, void *context)
{
    struct prepared *prepared = context;
    buf_puts(out, "?");
    if (prepared->count < PLACES_MOST)
        prepared->values[prepared->count++] = value;
}

static void add_parameter(struct buf *out, int value, void *context)
{
    (void)context;
    buf_printf(out, "v%d", value);
}

struct writer {
    MYSQL *db;
    struct arena *arena;
    const struct form *form;
    struct job job;
    struct prepared prepared[STATEMENTS_MOST];
};

static void add_literal(struct buf *out, int value, void *context)
{
    struct writer *writer = context;
    const MYSQL_BIND *bind = &writer->job.values[value];
    char *text = arena_alloc(writer->arena, 2 * bind->buffer_length + 1);
    if (bind->buffer_type == MYSQL_TYPE_NULL || text == NULL) {
        buf_puts(out, "NULL");
    } else if (bind->buffer_type == MYSQL_TYPE_LONGLONG) {
        buf_printf(out, "%lld", *(const long long *)bind->buffer);
    } else if (bind->buffer_type == MYSQL_TYPE_BLOB) {
        hex_encode(bind->buffer, bind->buffer_length, text);
        buf_printf(out, "X'%s'", text);
    } else {
        unsigned long len = mysql_real_escape_string(writer->db, text, bind->buffer, bind->buffer_length);
        buf_puts(out, "'");
        buf_add(out, text, len);
        buf_puts(out, "'");
    }
}

/* ---- one append ------------------------------------------------------------------------------------------------ */

/* Reads every result of a statement; one that has a row is the position. */
static int take_results(MYSQL_STMT *handle, long long *position)
{
    int more;
    do {
        if (mysql_stmt_field_count(handle) > 0) {
            MYSQL_BIND cell = {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = position};
            if (mysql_stmt_bind_result(handle, &cell) != 0 || mysql_stmt_store_result(handle) != 0 ||
                mysql_stmt_fetch(handle) != 0)
                return -1;
            mysql_stmt_free_result(handle);
        }
        more = mysql_stmt_next_result(handle);
    } while (more == 0);
    return more > 0 ? -1 : 0;
}

static int send_one(struct writer *writer, struct prepared *prepared)
{
    MYSQL_BIND binds[PLACES_MOST];
    for (size_t i = 0; i < prepared->count; i++)
        binds[i] = writer->job.values[prepared->values[i]];
    return prepared->count > 0 && mysql_stmt_bind_param(prepared->handle, binds) != 0
               ? -1
               : mysql_stmt_execute(prepared->handle);
}

static int append_each(struct writer *writer, long long *position)
{
    for (size_t i = 0; i < writer->form->count; i++) {
        MYSQL_STMT *handle = writer->prepared[i].handle;
        if (send_one(writer, &writer->prepared[i]) != 0 || take_results(handle, position) != 0) {
            fprintf(stderr, "forms: %s: %s\n", writer->form->name, mysql_stmt_error(handle));
            return -1;
        }
        if (writer->form->count > 1 && i == TELLS)
            *position = (long long)mysql_stmt_insert_id(handle);
    }
    return 0;
}

/*
 * With MARIADB_OPT_SKIP_READ_RESPONSE mysql_stmt_execute only sends; the answer is read by a method of the connection,
 * which no function of the library wraps. This is for speed alone: after an error the server would run what is behind
 * it all the same, and COMMIT a part, so Courant could not send an append so.
 */
static int append_pipelined(struct writer *writer, long long *position)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < writer->form->count; i++)
        status = send_one(writer, &writer->prepared[i]);
    for (size_t i = 0; status == 0 && i < writer->form->count; i++) {
        MYSQL_STMT *handle = writer->prepared[i].handle;
        status = writer->db->methods->db_read_execute_response(handle);
        if (status != 0)
            fprintf(stderr, "forms: %s: %s\n", writer->form->name, mysql_stmt_error(handle));
        else if (i == TELLS)
            *position = (long long)mysql_stmt_insert_id(handle);
    }
    return status;
}

static int append_text(struct writer *writer, long long *position)
{
    struct buf text;
    int more = 0;
    buf_init(&text, writer->arena);
    for (size_t i = 0; i < writer->form->count; i++) {
        buf_puts(&text, i > 0 ? "; " : "");
        expand(writer->form->texts[i], &text, add_literal, writer);
    }
    if (text.failed || mysql_real_query(writer->db, text.data, text.len) != 0)
        more = 1;
    for (size_t i = 0; more == 0; i++) {
        if (i == TELLS)
            *position = (long long)mysql_insert_id(writer->db);
        more = mysql_next_result(writer->db);
    }
    if (more > 0)
        fprintf(stderr, "forms: %s: %s\n", writer->form->name, mysql_error(writer->db));
    return more > 0 ? -1 : 0;
}

static int append_one(struct writer *writer, long long *position)
{
    arena_reset(writer->arena);
    make_job(&writer->job, writer->arena);
    switch (writer->form->way) {
    case PIPELINED:
        return append_pipelined(writer, position);
    case TEXT:
        return append_text(writer, position);
    default:
        return append_each(writer, position);
    }
}

/* ---- the writers ----------------------------------------------------------------------------------------------- */

static MYSQL *connect_now(const struct conf *conf)
{
    bool local = conf->database_socket[0] != '\0';
    MYSQL *db = mysql_init(NULL);
    if (db == NULL)
        return NULL;
    mysql_optionsv(db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (mysql_real_connect(db, local ? NULL : conf->database_host, conf->database_user, conf->database_password,
                           conf->database_name, (unsigned)conf->database_port, local ? conf->database_socket : NULL,
                           CLIENT_MULTI_STATEMENTS) != NULL &&
        mysql_query(db,
                    "SET SESSION tx_isolation = 'READ-COMMITTED', SESSION time_zone = '+00:00', "
                    "SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'") == 0)
        return db;
    fprintf(stderr, "forms: cannot connect: %s\n", mysql_error(db));
    mysql_close(db);
    return NULL;
}

static int prepare(struct writer *writer)
{
    for (size_t i = 0; writer->form->way != TEXT && i < writer->form->count; i++) {
        struct prepared *prepared = &writer->prepared[i];
        struct buf text;
        buf_init(&text, writer->arena);
        expand(writer->form->texts[i], &text, add_place, prepared);
        prepared->handle = mysql_stmt_init(writer->db);
        if (prepared->handle == NULL || text.failed || mysql_stmt_prepare(prepared->handle, text.data, text.len) != 0) {
            fprintf(stderr, "forms: %s: %s\n", writer->form->name, mysql_error(writer->db));
            return -1;
        }
    }
    my_bool skip = 1;
    return writer->form->way == PIPELINED ? mysql_optionsv(writer->db, MARIADB_OPT_SKIP_READ_RESPONSE, &skip) : 0;
}

/* What the writers share with the process that started them. */
struct shared {
    atomic_int ready;
    atomic_llong until, count;
};

/* Any error ends the run, also a deadlock: there is nothing here that may cause one. */
static int write_until(struct writer *writer, struct shared *shared)
{
    long long position = 0;
    int64_t until;
    while ((until = atomic_load(&shared->until)) == 0)
        usleep(1000);
    while (clock_steady() < until) {
        long long before = position;
        if (append_one(writer, &position) != 0) {
            /* A form that has sent all before it knew of the error cannot take back what came behind it. */
            if (writer->form->way != PIPELINED)
                mysql_query(writer->db, "ROLLBACK");
            return -1;
        }
        if (position <= before) {
            fprintf(stderr, "forms: %s: position %lld after %lld\n", writer->form->name, position, before);
            return -1;
        }
        atomic_fetch_add(&shared->count, 1);
    }
    return 0;
}

static int work(const struct conf *conf, const struct form *form, struct shared *shared)
{
    struct writer *writer = calloc(1, sizeof *writer);
    int status = -1;
    if (writer != NULL) {
        writer->form = form;
        writer->arena = arena_new(ARENA_LIMIT);
        writer->db = writer->arena != NULL ? connect_now(conf) : NULL;
        status = writer->db != NULL ? prepare(writer) : -1;
    }
    atomic_fetch_add(&shared->ready, 1);
    if (status == 0)
        status = write_until(writer, shared);
    /* The connection ends with the process. */
    return status != 0;
}

/* ---- a run and its proof --------------------------------------------------------------------------------------- */

static int run_text(MYSQL *db, const char *text)
{
    int more = mysql_query(db, text);
    while (more == 0)
        more = mysql_next_result(db);
    if (more > 0)
        fprintf(stderr, "forms: %.60s: %s\n", text, mysql_error(db));
    return more > 0 ? -1 : 0;
}

static int make_procedure(MYSQL *db)
{
    struct arena *arena = arena_new(ARENA_LIMIT);
    struct buf text;
    buf_init(&text, arena);
    buf_puts(&text, "CREATE OR REPLACE PROCEDURE bench_append(");
    for (int i = 0; i < VALUES; i++)
        buf_printf(&text, "%sv%d %s", i > 0 ? ", " : "", i, TYPES[i]);
    buf_puts(&text, ") BEGIN ");
    expand(BODY, &text, add_parameter, NULL);
    buf_add(&text, "", 1);
    int status = text.failed ? -1 : run_text(db, text.data);
    arena_free(&arena);
    return status;
}

static int reset(MYSQL *db)
{
    return run_text(db, "TRUNCATE TABLE events; TRUNCATE TABLE articles; "
                        "UPDATE log_head SET position = 0, hash = REPEAT(X'00', 32)");
}

static long long number(MYSQL *db, const char *text)
{
    long long value = -1;
    MYSQL_RES *result = mysql_query(db, text) == 0 ? mysql_store_result(db) : NULL;
    MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
    if (row != NULL && row[0] != NULL)
        value = strtoll(row[0], NULL, 10);
    mysql_free_result(result);
    return value;
}

/* Follows the chain from the first event to the head; returns how many links hold, the head's among them. */
static long long follow(MYSQL *db)
{
    unsigned char hash[SHA256_SIZE] = {0};
    long long links = 0;
    if (mysql_query(db, "SELECT position, digest, hash FROM events UNION ALL SELECT position + 1, NULL, hash FROM "
                        "log_head ORDER BY position") != 0)
        return -1;
    MYSQL_RES *result = mysql_use_result(db);
    MYSQL_ROW row = NULL;
    for (bool good = result != NULL; good && (row = mysql_fetch_row(result)) != NULL; links += good) {
        if (row[1] != NULL)
            event_chain(hash, (const unsigned char *)row[1], hash);
        good = strtoll(row[0], NULL, 10) == links + 1 && memcmp(row[2], hash, SHA256_SIZE) == 0;
    }
    mysql_free_result(result);
    return links;
}

static int check(MYSQL *db, const char *name, long long appends)
{
    long long events = number(db, "SELECT COUNT(*) FROM events"), most = number(db, "SELECT MAX(position) FROM events"),
              head = number(db, "SELECT position FROM log_head"), rows = number(db, "SELECT COUNT(*) FROM articles"),
              links = follow(db);
    if (appends > 0 && rows == appends && events == 2 * appends && most == events && head == events &&
        links == events + 1)
        return 0;
    fprintf(stderr,
            "forms: %s: %lld appends, but %lld articles, %lld events, the last at %lld, the head at %lld, "
            "%lld links of the chain\n",
            name, appends, rows, events, most, head, links);
    return -1;
}

static double run(MYSQL *db, const struct conf *conf, const struct form *form, int writers, int seconds)
{
    int bad = reset(db) != 0;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -1;
    for (int i = 0; i < writers; i++)
        if (fork() == 0)
            _exit(work(conf, form, shared));
    while (atomic_load(&shared->ready) < writers)
        usleep(1000);
    atomic_store(&shared->until, clock_steady() + (int64_t)seconds * 1000000);
    for (int i = 0, status; i < writers; i++)
        bad += wait(&status) < 0 || status != 0;
    long long count = atomic_load(&shared->count);
    munmap(shared, sizeof *shared);
    return bad != 0 || check(db, form->name, count) != 0 ? -1 : (double)count / seconds;
}

static int by_size(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double median(double *list, int count)
{
    qsort(list, (size_t)count, sizeof *list, by_size);
    return list[count / 2];
}

/* Each round begins with another form, so that none always runs in the wake of the same one. */
static int measure(MYSQL *db, const struct conf *conf, int writers, int seconds, int rounds)
{
    static double rates[FORMS_COUNT][ROUNDS_MOST], ratios[FORMS_COUNT][ROUNDS_MOST];
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < FORMS_COUNT; i++) {
            int form = (round + i) % FORMS_COUNT;
            rates[form][round] = run(db, conf, &FORMS[form], writers, seconds);
            if (rates[form][round] < 0)
                return -1;
        }
        for (int form = 0; form < FORMS_COUNT; form++) {
            ratios[form][round] = rates[form][round] / rates[0][round];
            fprintf(stderr, "%s%s %.0f", form > 0 ? "  " : "", FORMS[form].name, rates[form][round]);
        }
        fprintf(stderr, "\n");
    }
    for (int form = 0; form < FORMS_COUNT; form++)
        printf("%-10s %8.0f %8.3f\n", FORMS[form].name, median(rates[form], rounds), median(ratios[form], rounds));
    return 0;
}

int main(int argc, char **argv)
{
    struct conf conf;
    struct err err = {0};
    if (argc != 5 || crypt_init(&err) != 0 || conf_load(&conf, argv[1], "forms", &err) != 0) {
        fprintf(stderr, "usage: forms CONFIG WRITERS SECONDS ROUNDS\n%s\n", err.text);
        return 2;
    }
    int writers = atoi(argv[2]), seconds = atoi(argv[3]), rounds = atoi(argv[4]);
    /* It empties the tables: not those of a database that anybody uses. */
    if (strcmp(conf.database_name, "courant_raw") != 0 || writers < 1 || seconds < 1 || rounds < 1 ||
        rounds > ROUNDS_MOST) {
        fprintf(stderr, "forms: the database must be courant_raw, ROUNDS at most %d\n", ROUNDS_MOST);
        return 2;
    }
    MYSQL *db = connect_now(&conf);
    int status = db == NULL || make_procedure(db) != 0 || measure(db, &conf, writers, seconds, rounds) != 0;
    if (db != NULL)
        mysql_close(db);
    mysql_library_end();
    return status;
}
