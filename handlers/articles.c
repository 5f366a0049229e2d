/* /api/articles */
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "domain/article.h"
#include "handlers/app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_STANDARD = 20 };

static void send_article(struct exchange *exchange, int status, const struct article *article)
{
    struct buf buf;
    buf_init(&buf, exchange->arena);
    article_json(&buf, article, true);
    app_add_etag(exchange, article->version);
    http_send_json(exchange->response, status, buf_str(&buf));
}

void articles_create(struct exchange *exchange)
{
    struct json_object *payload = app_read_json(exchange);
    if (payload == NULL)
        return;
    struct command command = {
        .type = &CREATE_ARTICLE, .payload = payload, .expected = NO_VERSION, .respond = app_respond};
    app_dispatch(exchange, &command);
    json_object_put(payload);
}

/* Whether If-None-Match names this version (RFC 9110, section 13.1.2). */
static bool not_modified(struct exchange *exchange, int64_t version)
{
    const char *match = http_header(exchange->request, "if-none-match");
    char etag[32];
    int len = snprintf(etag, sizeof etag, "\"v%" PRId64 "\"", version);
    if (match == NULL)
        return false;
    return strcmp(match, "*") == 0 || memmem(match, strlen(match), etag, (size_t)len) != NULL;
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
        *moment = clock_parse(at, strlen(at));
        if (*moment == INT64_MIN)
            fault_add(&faults, "?at", "must be a time such as 2026-01-31T12:00:00Z, in UTC");
    }
    if (number != NULL && at != NULL)
        fault_add(&faults, "?at", "does not go together with ?version");
    if (faults.count > 0)
        http_send_problem(exchange->response, exchange->request, 422,
                          "The query has faults; errors names each of them.", &faults);
    return faults.count == 0;
}

void articles_get(struct exchange *exchange)
{
    struct article article;
    struct err err;
    int64_t position = -1, version, moment;
    if (!when_of(exchange, &version, &moment) || !app_database(exchange))
        return;
    int status = version == INT64_MAX && moment == INT64_MAX
                     ? article_find(app_of(exchange)->db, exchange->arena, &exchange->actor, exchange->id, &article,
                                    &position, &err)
                     : article_find_as_of(app_of(exchange)->db, exchange->arena, &exchange->actor, exchange->id,
                                          version, moment, &article, &position, &err);
    if (position >= 0)
        http_add_header_number(exchange->response, "Courant-Position", position);
    if (status != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    http_add_header(exchange->response, "Cache-Control", "no-cache");
    if (not_modified(exchange, article.version)) {
        app_add_etag(exchange, article.version);
        exchange->response->status = 304;
    } else {
        send_article(exchange, 200, &article);
    }
}

/* limit and cursor; false, and the problem is the answer. */
static bool page_of(struct exchange *exchange, size_t *limit, const char **before)
{
    struct faults faults = {0};
    const char *text = http_query(exchange->request, "limit"), *cursor = http_query(exchange->request, "cursor");
    *limit = LIMIT_STANDARD;
    *before = NULL;
    if (text != NULL) {
        size_t digits = strspn(text, "0123456789");
        long value = digits > 0 && digits < 4 && text[digits] == '\0' ? strtol(text, NULL, 10) : 0;
        if (value < 1 || value > ARTICLE_PAGE_MOST)
            fault_add(&faults, "?limit", "must be a whole number from 1 to 100");
        *limit = (size_t)value;
    }
    if (cursor != NULL) {
        struct str id = base64url_decode(exchange->arena, cursor, strlen(cursor));
        if (id.data == NULL || !id_valid(id.data, id.len))
            fault_add(&faults, "?cursor", "is not a cursor that this list has given");
        *before = id.data;
    }
    if (faults.count > 0)
        http_send_problem(exchange->response, exchange->request, 422,
                          "The query has faults; errors names each of them.", &faults);
    return faults.count == 0;
}

static void send_page(struct exchange *exchange, const struct article_page *page, size_t limit)
{
    struct buf buf;
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "{\"items\":[");
    for (size_t i = 0; i < page->count; i++) {
        buf_puts(&buf, i > 0 ? "," : "");
        article_json(&buf, &page->articles[i], false);
    }
    if (page->more) {
        struct str next = base64url_encode(exchange->arena, page->articles[page->count - 1].id, ID_LEN);
        buf_printf(&buf, "],\"next\":\"%s\"}", next.data != NULL ? next.data : "");
        buf_printf(&exchange->response->headers, "Link: </api/articles?limit=%zu&cursor=%s>; rel=\"next\"\r\n", limit,
                   next.data != NULL ? next.data : "");
    } else {
        buf_puts(&buf, "],\"next\":null}");
    }
    http_send_json(exchange->response, 200, buf_str(&buf));
}

void articles_list(struct exchange *exchange)
{
    struct article_page page;
    struct err err;
    size_t limit;
    const char *before;
    if (!page_of(exchange, &limit, &before) || !app_database(exchange))
        return;
    if (article_list(app_of(exchange)->db, exchange->arena, &exchange->actor, before, limit, &page, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    http_add_header_number(exchange->response, "Courant-Position", page.position);
    http_add_header(exchange->response, "Cache-Control", "no-cache");
    send_page(exchange, &page, limit);
}
