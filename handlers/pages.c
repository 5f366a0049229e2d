/* Answers that are remembered. See pages.h. */
#include "handlers/pages.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

struct page {
    uint64_t seen; /* of the key that was asked for last at this place; 0: none */
    char *text;    /* key, a NUL, headers, body; NULL: it was only seen */
    size_t key, headers, body;
    int status;
    struct log_head head;
};

struct pages {
    struct page all[PAGES]; /* each key has one place, which it shares */
    size_t bytes;
    int64_t rest_until; /* clock_steady */
};

struct pages *pages_new(void)
{
    return calloc(1, sizeof(struct pages));
}

static void forget(struct pages *pages, struct page *page)
{
    if (page->text != NULL)
        pages->bytes -= page->key + 1 + page->headers + page->body;
    free(page->text);
    *page = (struct page){.seen = page->seen};
}

static void forget_all(struct pages *pages)
{
    for (size_t i = 0; i < PAGES; i++)
        forget(pages, &pages->all[i]);
}

void pages_free(struct pages **pages)
{
    if (*pages != NULL)
        forget_all(*pages);
    free(*pages);
    *pages = NULL;
}

/* Never 0. */
static uint64_t hash_of(const char *key)
{
    return hash_text(key) | 1;
}

static struct page *place_of(struct pages *pages, uint64_t hash)
{
    return &pages->all[(hash >> 32) % PAGES];
}

bool pages_worth(struct pages *pages, const char *key)
{
    uint64_t hash = hash_of(key);
    struct page *page = place_of(pages, hash);
    if (clock_steady() < pages->rest_until)
        return false;
    if (page->seen == hash)
        return true;
    forget(pages, page);
    page->seen = hash;
    return false;
}

bool pages_find(struct pages *pages, const char *key, const struct log_head *head, struct http_response *response)
{
    const struct page *page = place_of(pages, hash_of(key));
    if (page->text == NULL || strcmp(page->text, key) != 0)
        return false;
    if (page->head.position != head->position || page->head.names != head->names ||
        memcmp(page->head.hash, head->hash, SHA256_SIZE) != 0) {
        forget_all(pages);
        pages->rest_until = clock_steady() + PAGES_REST_US;
        return false;
    }
    const char *headers = page->text + page->key + 1;
    response->status = page->status;
    response->body = (struct str){headers + page->headers, page->body};
    response->position = head->position;
    buf_add(&response->headers, headers, page->headers);
    return true;
}

void pages_keep(struct pages *pages, const char *key, const struct log_head *head, const struct http_response *response,
                size_t headers)
{
    uint64_t hash = hash_of(key);
    struct page *page = place_of(pages, hash);
    struct page made = {.seen = hash,
                        .key = strlen(key),
                        .headers = response->headers.len - headers,
                        .body = response->body.len,
                        .status = response->status,
                        .head = *head};
    size_t size = made.key + 1 + made.headers + made.body;
    forget(pages, page);
    if (size > PAGES_BYTES / 16 || response->headers.failed)
        return;
    if (pages->bytes + size > PAGES_BYTES)
        forget_all(pages);
    made.text = malloc(size);
    if (made.text == NULL)
        return;
    memcpy(made.text, key, made.key + 1);
    memcpy(made.text + made.key + 1, response->headers.data + headers, made.headers);
    if (made.body > 0)
        memcpy(made.text + made.key + 1 + made.headers, response->body.data, made.body);
    *page = made;
    pages->bytes += size;
}
