/* CommonMark. See markdown.h. */
#include "base/markdown.h"

#include <cmark.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Whether an address has no scheme, or one that only leads somewhere (RFC 3986, section 3.1). */
static bool is_harmless(const char *url)
{
    static const char *const schemes[] = {"http", "https", "mailto"};
    size_t len = strcspn(url, ":/?#");
    if (url[len] != ':')
        return true;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i]) == len && strncasecmp(url, schemes[i], len) == 0)
            return true;
    return false;
}

static bool disarm(cmark_node *document)
{
    bool done = true;
    cmark_iter *iter = cmark_iter_new(document);
    for (cmark_event_type event; (event = cmark_iter_next(iter)) != CMARK_EVENT_DONE;) {
        cmark_node *node = cmark_iter_get_node(iter);
        cmark_node_type type = cmark_node_get_type(node);
        if (event != CMARK_EVENT_ENTER || (type != CMARK_NODE_LINK && type != CMARK_NODE_IMAGE))
            continue;
        const char *url = cmark_node_get_url(node);
        if (url != NULL && !is_harmless(url))
            done = cmark_node_set_url(node, "") != 0 && done;
    }
    cmark_iter_free(iter);
    return done;
}

struct str markdown_html(struct arena *arena, struct str text)
{
    struct str made = {NULL, 0};
    cmark_node *document = cmark_parse_document(text.data, text.len, CMARK_OPT_DEFAULT);
    if (document != NULL && disarm(document)) {
        /* Without CMARK_OPT_UNSAFE: raw HTML does not get through. */
        char *html = cmark_render_html(document, CMARK_OPT_DEFAULT);
        if (html != NULL) {
            made.len = strlen(html);
            made.data = arena_copy(arena, html, made.len);
        }
        free(html);
    }
    cmark_node_free(document);
    return made.data != NULL ? made : (struct str){NULL, 0};
}
