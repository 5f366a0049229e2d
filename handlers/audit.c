/* /api/events: the audit trail, for who may read all of the log. */
#include "events/audit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "domain/model.h"
#include "handlers/app.h"

#include <inttypes.h>
#include <string.h>

enum { NAME_MOST = 64 }; /* of a stream, and of a type */

/* «word<separator>rest», where the rest is of these characters. */
static bool is_name(const char *text, char separator, const char *rest)
{
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyz_"), len = strlen(text);
    return word > 0 && text[word] == separator && len > word + 1 && len <= NAME_MOST &&
           strspn(text + word + 1, rest) == len - word - 1;
}

static void take_names(struct exchange *exchange, struct faults *faults, struct audit_filter *filter)
{
    filter->stream = http_query(exchange->request, "stream");
    filter->type = http_query(exchange->request, "type");
    filter->user = http_query(exchange->request, "user");
    if (filter->stream != NULL && !is_name(filter->stream, '-', "abcdefghijklmnopqrstuvwxyz_-0123456789"))
        fault_add(faults, "?stream", "must be a stream such as article-<id>");
    if (filter->type != NULL && !is_name(filter->type, '.', "abcdefghijklmnopqrstuvwxyz_"))
        fault_add(faults, "?type", "must be a type of events such as article.updated");
    if (filter->user != NULL && !id_valid(filter->user, strlen(filter->user)))
        fault_add(faults, "?user", "must be the id of a user");
}

/* A time in UTC; without one, what is given for that. */
static int64_t take_moment(struct exchange *exchange, struct faults *faults, const char *pointer, int64_t none)
{
    const char *text = http_query(exchange->request, pointer + 1);
    size_t len = text != NULL ? strlen(text) : 0;
    int64_t moment = clock_parse_any(text, len);
    if (text == NULL)
        return none;
    if (moment == INT64_MIN)
        fault_add(faults, pointer, "must be a time of RFC 3339 such as 2026-01-31T12:00:00Z (a + is written %2B)");
    return moment != INT64_MIN ? moment : none;
}

/* False, and the problem is the answer. */
static bool filter_of(struct exchange *exchange, struct audit_filter *filter)
{
    struct faults faults = {0};
    struct str cursor; /* is not looked at: after is ours */
    const char *after = http_query(exchange->request, "after");
    app_page(exchange, &faults, &filter->limit, &cursor);
    filter->after = after != NULL ? json_whole(str_of(after)) : 0;
    if (filter->after < 0)
        fault_add(&faults, "?after", "must be a log position");
    take_names(exchange, &faults, filter);
    filter->from = take_moment(exchange, &faults, "?from", INT64_MIN);
    filter->to = take_moment(exchange, &faults, "?to", INT64_MAX);
    if (filter->from > filter->to)
        fault_add(&faults, "?to", "must not be before ?from");
    return app_query_fits(exchange, &faults);
}

static void send_page(struct exchange *exchange, const struct audit_page *page)
{
    struct buf buf;
    bool whole = true;
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "{\"items\":[");
    for (size_t i = 0; i < page->list.count; i++) {
        struct str event = event_public_json(exchange->arena, &page->list.events[i], true);
        whole = whole && event.data != NULL;
        buf_puts(&buf, i > 0 ? "," : "");
        buf_add(&buf, event.data, event.len);
    }
    if (page->next > 0)
        buf_printf(&buf, "],\"next\":%" PRId64 "}", page->next);
    else
        buf_puts(&buf, "],\"next\":null}");
    buf.failed = buf.failed || !whole;
    app_add_caching(exchange);
    http_send_json(exchange->response, 200, buf_str(&buf));
}

void audit_list(struct exchange *exchange)
{
    struct audit_filter filter = {0};
    struct audit_page page;
    struct err err;
    if (!actor_may(&exchange->actor, "audit_read")) {
        http_send_problem(exchange->response, exchange->request, 403, "This needs the permission audit_read.", NULL);
        return;
    }
    if (!filter_of(exchange, &filter) || !app_database(exchange))
        return;
    if (audit_read(app_of(exchange)->db, &MODEL, exchange->arena, &filter, &page, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    app_add_position(exchange, page.position);
    send_page(exchange, &page);
}
