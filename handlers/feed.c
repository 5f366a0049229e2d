/* /feed.atom: what was published last (RFC 4287). */
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "domain/article_query.h"
#include "handlers/app.h"

#include <string.h>

/* Text in XML (section 2.4): the five that mean something there; control characters, which XML 1.0 cannot hold, go. */
static void add_xml(struct buf *buf, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        switch (c) {
        case '<':
            buf_puts(buf, "&lt;");
            break;
        case '>':
            buf_puts(buf, "&gt;");
            break;
        case '&':
            buf_puts(buf, "&amp;");
            break;
        case '"':
            buf_puts(buf, "&quot;");
            break;
        case '\r': /* a reader would take it for a line feed (section 2.11) */
            buf_puts(buf, "&#13;");
            break;
        default:
            /* U+FFFE and U+FFFF are no characters of XML either. */
            if (c == 0xef && i + 2 < text.len && (unsigned char)text.data[i + 1] == 0xbf &&
                (unsigned char)text.data[i + 2] >= 0xbe)
                i += 2;
            else if (c >= ' ' || c == '\t' || c == '\n')
                buf_add(buf, &text.data[i], 1);
        }
    }
}

static void add_element(struct buf *buf, const char *name, struct str text)
{
    buf_printf(buf, "<%s>", name);
    add_xml(buf, text);
    buf_printf(buf, "</%s>\n", name);
}

static void add_time(struct buf *buf, const char *name, int64_t moment)
{
    char stamp[CLOCK_TEXT];
    clock_rfc3339(moment, stamp);
    buf_printf(buf, "<%s>%s</%s>\n", name, stamp, name);
}

/* Host, as far as it is one. */
static bool is_host(const char *host)
{
    return host != NULL && *host != '\0' &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") == strlen(host);
}

/* Where the site is: site.url, or else what the request says. */
static const char *base_of(const struct exchange *exchange)
{
    const struct conf *conf = app_of(exchange)->conf;
    const char *host = http_header(exchange->request, "host");
    if (conf->site_url[0] != '\0')
        return conf->site_url;
    return arena_printf(exchange->arena, "%s://%s", exchange->request->secure ? "https" : "http",
                        is_host(host) ? host : "localhost");
}

/* site.article_path with {id} or {slug} filled in. */
static void add_path(struct buf *buf, const char *path, const struct article_entry *entry)
{
    for (const char *at = path; *at != '\0';) {
        if (strncmp(at, "{id}", 4) == 0) {
            buf_puts(buf, entry->id);
            at += 4;
        } else if (strncmp(at, "{slug}", 6) == 0) {
            buf_puts(buf, entry->slug);
            at += 6;
        } else {
            add_xml(buf, (struct str){at++, 1});
        }
    }
}

static void add_entry(struct buf *buf, const struct conf *conf, const char *base, const struct article_entry *entry)
{
    buf_printf(buf, "<entry>\n<id>urn:uuid:%s</id>\n", entry->id);
    add_element(buf, "title", entry->title);
    buf_puts(buf, "<link rel=\"alternate\" href=\"");
    add_xml(buf, str_of(base));
    add_path(buf, conf->site_article_path, entry);
    buf_puts(buf, "\"/>\n");
    add_time(buf, "published", entry->published_at);
    add_time(buf, "updated", entry->updated_at);
    buf_puts(buf, "<author>");
    add_element(buf, "name", str_of(entry->author != NULL ? entry->author : "anonymous"));
    buf_puts(buf, "</author>\n");
    if (entry->lead.len > 0)
        add_element(buf, "summary", entry->lead);
    buf_puts(buf, "<content type=\"html\">");
    add_xml(buf, entry->html);
    buf_puts(buf, "</content>\n</entry>\n");
}

static int64_t newest(const struct article_entry *entries, size_t count)
{
    int64_t last = 0;
    for (size_t i = 0; i < count; i++)
        last = entries[i].updated_at > last ? entries[i].updated_at : last;
    return last;
}

static struct str feed_text(struct exchange *exchange, const struct article_entry *entries, size_t count)
{
    struct buf buf;
    const struct conf *conf = app_of(exchange)->conf;
    const char *base = base_of(exchange);
    if (base == NULL)
        base = "";
    buf_init(&buf, exchange->arena);
    buf_puts(&buf, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n<id>");
    add_xml(&buf, str_of(base));
    buf_puts(&buf, "/feed.atom</id>\n");
    add_element(&buf, "title", str_of(conf->site_title));
    buf_puts(&buf, "<link rel=\"self\" type=\"application/atom+xml\" href=\"");
    add_xml(&buf, str_of(base));
    buf_puts(&buf, "/feed.atom\"/>\n");
    add_time(&buf, "updated", newest(entries, count));
    for (size_t i = 0; i < count; i++)
        add_entry(&buf, conf, base, &entries[i]);
    buf_puts(&buf, "</feed>\n");
    return buf_str(&buf);
}

void feed_get(struct exchange *exchange)
{
    struct article_entry entries[ARTICLE_FEED];
    struct err err;
    unsigned char digest[SHA256_SIZE];
    char tag[2 * SHA256_SIZE + 3];
    size_t count;
    int64_t position;
    if (!app_database(exchange))
        return;
    const struct reading reading = app_reading(exchange);
    if (article_feed(&reading, entries, &count, &position, &err) != 0) {
        http_send_error(exchange->response, exchange->request, &err, NULL);
        return;
    }
    struct str text = feed_text(exchange, entries, count);
    struct sha256 hash;
    sha256_start(&hash);
    sha256_add(&hash, text.data, text.len);
    sha256_end(&hash, digest);
    tag[0] = '"';
    hex_encode(digest, 16, tag + 1);
    memcpy(tag + 33, "\"", 2);
    app_add_position(exchange, position);
    http_add_header(exchange->response, "ETag", tag);
    http_add_header(exchange->response, "Cache-Control", "no-cache");
    const char *match = http_header(exchange->request, "if-none-match");
    if (match != NULL && (strcmp(match, "*") == 0 || strstr(match, tag) != NULL)) {
        exchange->response->status = 304;
        return;
    }
    http_add_header(exchange->response, "Content-Type", "application/atom+xml; charset=utf-8");
    exchange->response->status = 200;
    exchange->response->body = text;
}
