/*
 * Characters that a reader sees, and those that do something else: control a terminal, end a line, turn or hide what
 * stands beside them (Unicode's categories Cc, Cf, Cs, Zl and Zp, and what is to be ignored where no glyph is known).
 * By ICU.
 */
#ifndef COURANT_BASE_SHOWN_H
#define COURANT_BASE_SHOWN_H

#include "base/buf.h"

/* Whether the text is UTF-8 without any of those. */
bool shown_whole(struct str text);
/* Whether a name is so, has no space of any kind, and something in it to be seen: not marks alone. */
bool shown_name(struct str text);

/* Adds the text with \u001b (\ud83d\ude00 beyond the first plane, as in JSON) for those, and \ufffd for what is no
 * UTF-8.
 */
void shown_escape(struct buf *buf, struct str text);
/* Puts a question mark in the place of each of their bytes. */
void shown_mask(char *text);

#endif
