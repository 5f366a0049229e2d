/* /api/articles: reading. What changes articles is in commands.c. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/words.h"
#include "domain/article_query.h"
#include "handlers/app.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void send_view(struct exchange *exchange, const struct article_view *view)
{
    struct buf buf;
    app_add_etag(exchange, view->version);
    app_add_caching(exchange);
    /* Who has seen this version may have seen another name; whoever has anything at all has it. */
    const char *match = http_header(exchange->request, "if-none-match");
    if (app_not_modified(exchange, view->version) && (!view->renamed || strcmp(match, "*") == 0)) {
        exchange->response->status = 304;
        return;
    }
    buf_init(&buf, exchange->arena);
    article_json(&buf, view->summary, view->author, view->rest);
    http_send_json(exchange->response, 200, buf_str(&buf));
}

/* ?version= and ?at=, at most one of them; false, and the problem is the answer. */
static bool when_of(struct exchange *exchange, int64_t *version, int64_t *moment)
{
    struct faults faults = {0};
    const char *number = http_query(exchange->request, "version"), *at = http_query(exchange->request, "at");
    *version = *moment = INT64_MAX;
    if (number != NULL) {
        *version = json_whole(str_of(number));
        if (*version < 1)
            fault_add(&faults, "?version", "must be a whole number from 1 on");
    }
    if (at != NULL) {
        size_t len = strlen(at);
        *moment = clock_parse_any(at, len);
        if (*moment == INT64_MIN)
            fault_add(&faults, "?at", "must be a time of RFC 3339 such as 2026-01-31T12:00:00Z (a + is written %2B)");
    }
    if (number != NULL && at != NULL)
        fault_add(&faults, "?at", "does not go together with ?version");
    return app_query_fits(exchange, &faults);
}

/* An answer that may be remembered, from before it is read. */
struct keeping {
    const char *key; /* NULL: it is not to be */
    struct log_head head;
    size_t headers; /* those that were there before */
};

/* What else than the target an answer to nobody in particular depends on. */
static const char *key_of(const struct exchange *exchange)
{
    const struct app *app = app_of(exchange);
    const char *match = http_header(exchange->request, "if-none-match");
    if (app->pages == NULL || exchange->actor.user_id != NULL || strcmp(app->conf->features_articles, "direct") == 0)
        return NULL;
    return match != NULL ? arena_printf(exchange->arena, "%s\n%s", exchange->request->target, match)
                         : exchange->request->target;
}

/* 1 it is answered, by what was remembered; 0 it is to be read; -1 the log cannot be asked. */
static int recall(struct exchange *exchange, struct keeping *keeping, struct err *err)
{
    struct app *app = app_of(exchange);
    const char *key = key_of(exchange);
    *keeping = (struct keeping){.headers = exchange->response->headers.len};
    if (key == NULL || !pages_worth(app->pages, key))
        return 0;
    /* What is read after it, names too, is no older than it. */
    if (known_ask(app->known, app->db, exchange->arena, &keeping->head, err) != 0)
        return -1;
    keeping->key = key;
    return pages_find(app->pages, key, &keeping->head, exchange->response);
}

static void remember(const struct exchange *exchange, const struct keeping *keeping)
{
    const struct http_response *response = exchange->response;
    if (keeping->key != NULL && (response->status == 200 || response->status == 304))
        pages_keep(app_of(exchange)->pages, keeping->key, &keeping->head, response, keeping->headers);
}

/* As it is now. */
static int get(struct exchange *exchange, struct article_view *view, struct err *err)
{
    struct keeping keeping;
    const struct reading reading = app_reading(exchange);
    int status = recall(exchange, &keeping, err);
    if (status == 0) {
        status = article_find(&reading, exchange->id, app_known_version(exchange), view, err);
        app_add_position(exchange, view->position);
        if (status == 0)
            send_view(exchange, view);
        remember(exchange, &keeping);
    }
    return status < 0 ? -1 : 0;
}

static int get_as_of(struct exchange *exchange, int64_t version, int64_t moment, struct article_view *view,
                     struct err *err)
{
    const struct reading reading = app_reading(exchange);
    int status = article_find_as_of(&reading, exchange->id, version, moment, view, err);
    app_add_position(exchange, view->position);
    if (status == 0)
        send_view(exchange, view);
    return status;
}

void articles_get(struct exchange *exchange)
{
    struct article_view view = {.position = -1};
    struct err err;
    int64_t version, moment;
    if (!when_of(exchange, &version, &moment) || !app_database(exchange))
        return;
    bool now = version == INT64_MAX && moment == INT64_MAX;
    if ((now ? get(exchange, &view, &err) : get_as_of(exchange, version, moment, &view, &err)) != 0)
        http_send_error(exchange->response, exchange->request, &err, NULL);
}

enum { TAG_MOST = 40, SEARCH_MOST = 200 };

/* A parameter that must be a text of some length. */
static void check_text(struct exchange *exchange, struct faults *faults, const char *pointer, const char *text,
                       size_t most)
{
    if (text != NULL && (*text == '\0' || utf8_length(text, strlen(text)) > most))
        fault_add(faults, pointer, arena_printf(exchange->arena, "must have from 1 to %zu characters", most));
}

static bool filter_of(struct exchange *exchange, struct article_filter *filter)
{
    struct faults faults = {0};
    const struct http_request *request = exchange->request;
    const char *words[WORDS_MOST];
    struct str cursor;
    app_page(exchange, &faults, &filter->limit, &cursor);
    filter->author = http_query(request, "author");
    filter->tag = http_query(request, "tag");
    filter->status = http_query(request, "status");
    filter->search = http_query(request, "q");
    filter->before = cursor.data;
    if (cursor.data != NULL && !id_valid(cursor.data, cursor.len))
        fault_add(&faults, "?cursor", "is not a cursor that this list has given");
    if (filter->author != NULL && !id_valid(filter->author, strlen(filter->author)))
        fault_add(&faults, "?author", "must be the id of a user");
    if (filter->status != NULL && strcmp(filter->status, "draft") != 0 && strcmp(filter->status, "published") != 0)
        fault_add(&faults, "?status", "must be draft or published");
    check_text(exchange, &faults, "?tag", filter->tag, TAG_MOST);
    check_text(exchange, &faults, "?q", filter->search, SEARCH_MOST);
    size_t count = filter->search != NULL ? words_of(exchange->arena, filter->search, words) : 1;
    if (count == 0 || count > WORDS_MOST)
        fault_add(&faults, "?q", "must have from 1 to 8 words");
    return app_query_fits(exchange, &faults);
}

static void send_page(struct exchange *exchange, const struct article_page *page)
{
    struct buf buf;
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "{\"items\":[");
    for (size_t i = 0; i < page->count; i++) {
        buf_puts(&buf, i > 0 ? "," : "");
        article_json(&buf, page->summaries[i], page->authors[i], STR(""));
    }
    buf_puts(&buf, "]");
    app_end_page(exchange, &buf, page->more ? str_of(page->last) : (struct str){NULL, 0});
    app_add_caching(exchange);
    http_send_json(exchange->response, 200, buf_str(&buf));
}

static int list(struct exchange *exchange, const struct article_filter *filter, struct err *err)
{
    struct article_page page;
    struct keeping keeping;
    const struct reading reading = app_reading(exchange);
    int status = recall(exchange, &keeping, err);
    if (status == 0 && (status = article_list(&reading, filter, &page, err)) == 0) {
        app_add_position(exchange, page.position);
        send_page(exchange, &page);
        remember(exchange, &keeping);
    }
    return status < 0 ? -1 : 0;
}

void articles_list(struct exchange *exchange)
{
    struct article_filter filter = {0};
    struct err err;
    if (!filter_of(exchange, &filter) || !app_database(exchange))
        return;
    if (list(exchange, &filter, &err) != 0)
        http_send_error(exchange->response, exchange->request, &err, NULL);
}
