/* /api/articles/{id}/revisions: what an article said before, and what changed. */
#include "base/buf.h"
#include "base/diff.h"
#include "base/json.h"
#include "domain/article_query.h"
#include "handlers/app.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_text(struct buf *buf, const char *name, struct str text)
{
    buf_printf(buf, ",\"%s\":", name);
    buf_json(buf, text.data, text.len);
}

static void add_revision(struct buf *buf, const struct article_revision *revision, bool whole)
{
    buf_printf(buf, "{\"revision\":%" PRId64 ",\"version\":%" PRId64, revision->revision, revision->version);
    add_text(buf, "title", revision->content.title);
    if (whole) {
        add_text(buf, "subtitle", revision->content.subtitle);
        add_text(buf, "lead", revision->content.lead);
        add_text(buf, "content", revision->content.content);
        buf_puts(buf, ",\"tags\":");
        buf_add(buf, revision->content.tags.data, revision->content.tags.len);
    }
    buf_puts(buf, ",\"author\":");
    if (revision->author_id != NULL) {
        buf_printf(buf, "{\"id\":\"%s\",\"username\":", revision->author_id);
        revision->author_name != NULL ? buf_json_z(buf, revision->author_name) : buf_puts(buf, "null");
        buf_puts(buf, "}");
    } else {
        buf_puts(buf, "null");
    }
    buf_puts(buf, ",\"created_at\":");
    buf_moment(buf, revision->created_at);
    buf_puts(buf, "}");
}

static void send(struct exchange *exchange, const struct buf *buf)
{
    app_add_caching(exchange);
    http_send_json(exchange->response, 200, buf_str(buf));
}

static bool article_of(struct exchange *exchange)
{
    if (id_valid(exchange->id, strlen(exchange->id)))
        return true;
    http_send_problem(exchange->response, exchange->request, 404, "There is no such article.", NULL);
    return false;
}

void revisions_list(struct exchange *exchange)
{
    struct article_revisions revisions;
    struct faults faults = {0};
    struct err err;
    struct str cursor;
    size_t limit;
    app_page(exchange, &faults, &limit, &cursor);
    int64_t before = cursor.data != NULL ? json_whole(cursor) : INT64_MAX;
    if (before < 1)
        fault_add(&faults, "?cursor", "is not a cursor that this list has given");
    if (!app_query_fits(exchange, &faults) || !article_of(exchange) || !app_database(exchange))
        return;
    const struct reading reading = app_reading(exchange);
    int status = article_revision_list(&reading, exchange->id, before, limit, &revisions, &err);
    app_add_position(exchange, revisions.position);
    if (status != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    struct buf buf;
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "{\"items\":[");
    for (size_t i = 0; i < revisions.count; i++) {
        buf_puts(&buf, i > 0 ? "," : "");
        add_revision(&buf, &revisions.list[i], false);
    }
    buf_puts(&buf, "]");
    char last[24] = "";
    if (revisions.more)
        snprintf(last, sizeof last, "%" PRId64, revisions.list[revisions.count - 1].end);
    app_end_page(exchange, &buf, revisions.more ? str_of(last) : (struct str){NULL, 0});
    send(exchange, &buf);
}

/* One revision; false, and the problem is the answer. A number that is none is no revision. */
static bool find(struct exchange *exchange, int64_t number, struct article_revision *revision)
{
    struct err err;
    int64_t position = -1;
    if (!article_of(exchange) || !app_database(exchange))
        return false;
    const struct reading reading = app_reading(exchange);
    int status = article_revision_find(&reading, exchange->id, number, revision, &position, &err);
    /* Of two revisions, from before the first was read. */
    if (exchange->response->position < 0)
        app_add_position(exchange, position);
    if (status != 0)
        http_send_error(exchange->response, exchange->request, &err, NULL);
    return status == 0;
}

void revisions_get(struct exchange *exchange)
{
    struct article_revision revision;
    struct buf buf;
    if (!find(exchange, json_whole(str_of(exchange->item)), &revision))
        return;
    buf_init(&buf, exchange->arena);
    add_revision(&buf, &revision, true);
    send(exchange, &buf);
}

/* A member as a line, or several, of which those after the first are set in: none can pass for another member's. */
static void add_lines(struct buf *buf, const char *name, struct str text)
{
    buf_printf(buf, "%s: ", name);
    for (size_t at = 0; at < text.len;) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end != NULL ? (size_t)(end - text.data) + 1 - at : text.len - at;
        buf_add(buf, text.data + at, len);
        if (end != NULL)
            buf_puts(buf, "  ");
        at += len;
    }
    buf_puts(buf, "\n");
}

/* A revision as a text of lines. */
static struct str as_text(struct arena *arena, const struct article_revision *revision)
{
    const struct article_content *content = &revision->content;
    struct buf buf;
    buf_init(&buf, arena);
    add_lines(&buf, "title", content->title);
    add_lines(&buf, "subtitle", content->subtitle);
    add_lines(&buf, "lead", content->lead);
    add_lines(&buf, "tags", content->tags);
    buf_puts(&buf, "\n");
    buf_add(&buf, content->content.data, content->content.len);
    return buf_str(&buf);
}

/* The one before it that the reader may see; an empty one, with the number 0, where there is none. */
static bool find_before(struct exchange *exchange, const struct article_revision *after,
                        struct article_revision *before)
{
    struct article_revisions revisions;
    struct err err;
    const struct reading reading = app_reading(exchange);
    if (article_revision_list(&reading, exchange->id, after->end, 1, &revisions, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return false;
    }
    *before = revisions.count > 0 ? revisions.list[0] : (struct article_revision){0};
    return true;
}

/* ?with=m: from revision m to n. */
void revisions_diff(struct exchange *exchange)
{
    struct article_revision before, after;
    struct faults faults = {0};
    struct err err;
    struct str diff;
    const char *with = http_query(exchange->request, "with");
    int64_t number = json_whole(str_of(exchange->item)), other = with != NULL ? json_whole(str_of(with)) : 0;
    if (with != NULL && other < 1)
        fault_add(&faults, "?with", "must be the number of a revision");
    if (!app_query_fits(exchange, &faults) || !find(exchange, number, &after))
        return;
    if (with != NULL ? !find(exchange, other, &before) : !find_before(exchange, &after, &before))
        return;
    char names[2][40];
    snprintf(names[0], sizeof names[0], "revision-%" PRId64, before.revision);
    snprintf(names[1], sizeof names[1], "revision-%" PRId64, number);
    struct str text = before.revision == 0 ? STR("") : as_text(exchange->arena, &before);
    if (diff_unified(exchange->arena, names[0], text, names[1], as_text(exchange->arena, &after), &diff, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    struct buf buf;
    buf_init(&buf, exchange->arena);
    buf_printf(&buf, "{\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"diff\":", before.revision, number);
    buf_json(&buf, diff.data, diff.len);
    buf_puts(&buf, "}");
    send(exchange, &buf);
}
