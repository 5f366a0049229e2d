/*
 * Words, for a search by InnoDB's FULLTEXT. By ICU.
 *
 * FULLTEXT takes every run of letters, digits, marks and underscores for one token, indexes those of 3 to 84 characters
 * of the basic multilingual plane, and finds them by how they begin. So of «a_word of AI, 東京都» it would find neither
 * «word» nor «of» nor «京都». What it leaves out stands beside the text, in a form that it does index (words_extra),
 * and a query asks for words in the same form (words_match):
 *
 *      of, AI              words of one or two letters, padded: «of_ ai_»
 *      a, word             words that are but a part of a token: «a__ word»
 *      more than 84        the first 80 letters
 *      東京都              scripts without spaces, and letters beyond the plane: each two letters that follow each other,
 *                          and the last one, padded: «東京_ 京都_ 都__»
 *      ഞാൻ                 words with letters that it does not know, those since Unicode 5.0 and beyond the plane, which
 *                          are written as their numbers: «ഞാd7b»
 */
#ifndef COURANT_BASE_WORDS_H
#define COURANT_BASE_WORDS_H

#include "base/buf.h"

enum { WORDS_MOST = 8 };

/*
 * The words of a text in any script: runs of letters, digits and marks, without a change between scripts that have
 * spaces and others. At most WORDS_MOST of them, in the arena; returns how many there are in the text, which may be
 * more.
 */
size_t words_of(struct arena *arena, const char *text, const char *words[WORDS_MOST]);

/*
 * Adds what finds one of these words, or one that begins with it, in boolean mode: «+word*», «+東京_ +京都_», «+a__» (a
 * letter alone begins no other word). Of a word without spaces the first 17 letters are asked for.
 */
void words_match(struct buf *buf, const char *word);

/*
 * What FULLTEXT would not index of these texts: each token once, in lower case, with spaces between; at most four
 * times as long as the texts are. Pure. {NULL, 0} when the arena is exhausted.
 */
struct str words_extra(struct arena *arena, const struct str *texts, size_t count);

#endif
