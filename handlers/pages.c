/* Lists that are remembered. See pages.h. */
#include "handlers/pages.h"

#include <stdlib.h>
#include <string.h>

struct page {
    char *text; /* target, a NUL, headers, body; NULL: none */
    size_t target, headers, body;
    struct log_head head;
    uint64_t used;
};

struct pages {
    struct page all[PAGES];
    size_t bytes;
    uint64_t clock;
};

struct pages *pages_new(void)
{
    return calloc(1, sizeof(struct pages));
}

static size_t size_of(const struct page *page)
{
    return page->text != NULL ? page->target + 1 + page->headers + page->body : 0;
}

static void forget(struct pages *pages, struct page *page)
{
    pages->bytes -= size_of(page);
    free(page->text);
    *page = (struct page){0};
}

void pages_free(struct pages **pages)
{
    for (size_t i = 0; *pages != NULL && i < PAGES; i++)
        forget(*pages, &(*pages)->all[i]);
    free(*pages);
    *pages = NULL;
}

/* The page of this target, or NULL. */
static struct page *page_of(struct pages *pages, const char *target)
{
    for (size_t i = 0; i < PAGES; i++)
        if (pages->all[i].text != NULL && strcmp(pages->all[i].text, target) == 0)
            return &pages->all[i];
    return NULL;
}

static struct page *least_used(struct pages *pages)
{
    struct page *found = pages->all;
    for (size_t i = 1; i < PAGES; i++)
        if (pages->all[i].used < found->used)
            found = &pages->all[i];
    return found;
}

bool pages_find(struct pages *pages, const char *target, const struct log_head *head, struct str *headers,
                struct str *body)
{
    struct page *page = page_of(pages, target);
    if (page == NULL)
        return false;
    if (page->head.position != head->position || page->head.names != head->names ||
        memcmp(page->head.hash, head->hash, SHA256_SIZE) != 0) {
        forget(pages, page);
        return false;
    }
    page->used = ++pages->clock;
    *headers = (struct str){page->text + page->target + 1, page->headers};
    *body = (struct str){headers->data + headers->len, page->body};
    return true;
}

void pages_keep(struct pages *pages, const char *target, const struct log_head *head, struct str headers,
                struct str body)
{
    struct page *page = page_of(pages, target);
    struct page made = {.target = strlen(target), .headers = headers.len, .body = body.len, .head = *head};
    size_t size = made.target + 1 + headers.len + body.len;
    if (page != NULL)
        forget(pages, page);
    if (size > PAGES_BYTES / 4 || (made.text = malloc(size)) == NULL)
        return;
    memcpy(made.text, target, made.target + 1);
    memcpy(made.text + made.target + 1, headers.data, headers.len);
    memcpy(made.text + made.target + 1 + headers.len, body.data, body.len);
    made.used = ++pages->clock;
    do {
        page = least_used(pages);
        forget(pages, page);
    } while (pages->bytes + size > PAGES_BYTES);
    *page = made;
    pages->bytes += size;
}
