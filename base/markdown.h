/*
 * CommonMark to HTML, by cmark, for pages that anybody may have written: raw HTML is left out, and a link or an image
 * leads only to http, https, mailto or within the site. A text with more than 64 lists or quotations opened by one
 * line, which only wants to keep the server busy, is shown as it is written.
 */
#ifndef COURANT_BASE_MARKDOWN_H
#define COURANT_BASE_MARKDOWN_H

#include "base/arena.h"

/* HTML in the arena; {NULL, 0} when the arena is exhausted or there is no memory. Pure. */
struct str markdown_html(struct arena *arena, struct str text);

#endif
