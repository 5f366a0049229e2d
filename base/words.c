/* Words for the search, by ICU. See words.h. */
#include "base/words.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

/* A cut word may have three more letters: those of the last one's number. */
enum { TOKEN_LEAST = 3, TOKEN_MOST = 84, CUT = 80, PAIRS_MOST = 16, PLANE_END = 0xffff };

enum kind {
    OTHER,
    MARK,  /* goes on with a word of either kind */
    PLAIN, /* of a script with spaces */
    DENSE, /* of one without, or beyond the plane */
};

struct word {
    struct str text;
    size_t letters; /* of a dense word without accents */
    bool dense;
    bool joined; /* a token has more than this word in it */
    bool torn;   /* or less: it has letters that FULLTEXT does not know */
};

static bool is_dense(UChar32 c)
{
    UErrorCode status = U_ZERO_ERROR;
    if (c > PLANE_END)
        return true;
    switch (uscript_getScript(c, &status)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_THAI:
    case USCRIPT_LAO:
    case USCRIPT_KHMER:
    case USCRIPT_MYANMAR:
        return true;
    case USCRIPT_COMMON: /* such as the mark of a long vowel */
        return uscript_hasScript(c, USCRIPT_HAN) || uscript_hasScript(c, USCRIPT_KATAKANA);
    default:
        return false;
    }
}

/* Whether FULLTEXT takes it for a part of a word: those of Unicode 5.0 are in its tables, but for some. */
static bool is_known(UChar32 c)
{
    UVersionInfo age;
    if (c < 0x80)
        return true;
    if (c > PLANE_END || c == 0x2ec || c == 0x374 || c == 0xcf1 || c == 0xcf2 || c == 0x17b4 || c == 0x17b5 ||
        (c >= 0x9fa6 && c <= 0x9fba))
        return false;
    u_charAge(c, age);
    return age[0] < 5 || (age[0] == 5 && age[1] == 0);
}

/* What it takes for one too, and is none. */
static bool is_glue(UChar32 c)
{
    return c == '_' || c == 0x6de;
}

static enum kind kind_of(UChar32 c)
{
    uint32_t category = c >= 0 ? U_GET_GC_MASK(c) : 0;
    if ((category & U_GC_M_MASK) != 0)
        return MARK;
    if ((category & (U_GC_L_MASK | U_GC_N_MASK)) == 0)
        return OTHER;
    return c >= 0x80 && is_dense(c) ? DENSE : PLAIN;
}

/* An accent, of which the collation sees nothing; a vowel of Thai is none. */
static bool is_accent(UChar32 c)
{
    UErrorCode status = U_ZERO_ERROR;
    return uscript_getScript(c, &status) == USCRIPT_INHERITED;
}

/* The next word of a text from *at on, and the step past it; false at the end. */
static bool next_word(struct str text, int32_t *at, struct word *word)
{
    int32_t start, end, here = *at, len = (int32_t)text.len;
    enum kind kind, next = OTHER;
    UChar32 c = -1;
    bool joined = here > 0; /* to the word before, unless something stands between them */
    for (;; joined = kind == MARK || is_glue(c)) {
        if ((start = here) == len)
            return false;
        U8_NEXT(text.data, here, len, c);
        if ((kind = kind_of(c)) >= PLAIN)
            break;
    }
    *word = (struct word){.letters = 1, .dense = kind == DENSE, .torn = !is_known(c)};
    for (end = here; end < len; end = here) {
        U8_NEXT(text.data, here, len, c);
        next = kind_of(c);
        if (next != kind && next != MARK)
            break;
        word->letters += word->dense && is_accent(c) ? 0 : 1;
        word->torn = word->torn || !is_known(c);
    }
    word->text = (struct str){text.data + start, (size_t)(end - start)};
    word->joined = joined || (end < len && (next != OTHER || is_glue(c)));
    *at = end;
    return true;
}

size_t words_of(struct arena *arena, const char *text, const char *words[WORDS_MOST])
{
    struct word word;
    size_t count = 0;
    for (int32_t at = 0; next_word(str_of(text), &at, &word); count++)
        if (count < WORDS_MOST)
            words[count] = arena_copy(arena, word.text.data, word.text.len);
    return count;
}

/* A small letter, or a capital one that FULLTEXT knows without its small one. */
static UChar32 fold(UChar32 c)
{
    UChar32 small = u_tolower(c), capital = u_toupper(c);
    if (is_known(small))
        return small;
    return is_known(c) ? c : is_known(capital) ? capital : small;
}

/* The next letter of a word, or -1. */
static UChar32 next_letter(const struct word *word, int32_t *at)
{
    UChar32 c = -1;
    int32_t len = (int32_t)word->text.len;
    while (*at < len) {
        U8_NEXT(word->text.data, *at, len, c);
        if (!word->dense || !is_accent(c))
            return fold(c);
    }
    return -1;
}

/* Returns how many letters it takes in a token. */
static size_t add_letter(struct buf *buf, UChar32 c)
{
    char bytes[U8_MAX_LENGTH];
    size_t len = 0, before = buf->len;
    if (!is_known(c)) {
        buf_printf(buf, "%x", (unsigned)c);
        return buf->len - before;
    }
    U8_APPEND_UNSAFE(bytes, len, c);
    buf_add(buf, bytes, len);
    return 1;
}

/* The letter of a dense word at a place and the one behind it, and the step to that: «東京_», at the end «都__». */
static void add_pair(struct buf *buf, const struct word *word, int32_t *at)
{
    add_letter(buf, next_letter(word, at));
    int32_t behind = *at;
    UChar32 second = next_letter(word, &behind);
    if (second >= 0)
        add_letter(buf, second);
    buf_puts(buf, second >= 0 ? "_" : "__");
}

/* As many letters as make no token too long. */
static size_t add_cut(struct buf *buf, const struct word *word)
{
    int32_t at = 0;
    size_t letters = 0;
    for (size_t i = 0; i < word->letters && letters < CUT; i++)
        letters += add_letter(buf, next_letter(word, &at));
    return letters;
}

static void add_padded(struct buf *buf, const struct word *word)
{
    for (size_t letters = add_cut(buf, word); letters < TOKEN_LEAST; letters++)
        buf_puts(buf, "_");
}

void words_match(struct buf *buf, const char *text)
{
    struct word word;
    int32_t start = 0, at = 0;
    if (!next_word(str_of(text), &start, &word))
        return;
    if (!word.dense || word.letters == 1) {
        buf_puts(buf, "+");
        if (!word.dense && word.letters == 1) { /* too many begin with it */
            add_padded(buf, &word);
            return;
        }
        add_cut(buf, &word);
        buf_puts(buf, "*");
        return;
    }
    for (size_t i = 0; i + 1 < word.letters && i < PAIRS_MOST; i++) {
        buf_puts(buf, i > 0 ? " +" : "+");
        add_pair(buf, &word, &at);
    }
}

struct tokens {
    struct buf token;
    const char **list;
    size_t count;
};

static void end_token(struct tokens *tokens)
{
    struct str token = buf_str(&tokens->token);
    tokens->list[tokens->count++] = arena_copy(tokens->token.arena, token.data, token.len);
    tokens->token.len = 0;
}

static void add_tokens(struct tokens *tokens, const struct word *word)
{
    int32_t at = 0;
    for (size_t i = 0; word->dense && i < word->letters; i++) {
        add_pair(&tokens->token, word, &at);
        end_token(tokens);
    }
    bool whole = !word->joined && !word->torn && word->letters >= TOKEN_LEAST && word->letters <= TOKEN_MOST;
    if (word->dense || whole)
        return;
    add_padded(&tokens->token, word);
    end_token(tokens);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, and each once. */
static struct str join(struct arena *arena, struct tokens *tokens)
{
    struct buf buf;
    buf_init(&buf, tokens->token.arena);
    if (tokens->count > 0)
        qsort(tokens->list, tokens->count, sizeof *tokens->list, by_bytes);
    for (size_t i = 0; i < tokens->count; i++) {
        if (i > 0 && strcmp(tokens->list[i], tokens->list[i - 1]) == 0)
            continue;
        buf_puts(&buf, i > 0 ? " " : "");
        buf_puts(&buf, tokens->list[i]);
    }
    return buf.failed ? (struct str){NULL, 0} : (struct str){arena_copy(arena, buf.data, buf.len), buf.len};
}

struct str words_extra(struct arena *arena, const struct str *texts, size_t count)
{
    size_t bytes = 0;
    struct str extra = {NULL, 0};
    for (size_t i = 0; i < count; i++)
        bytes += texts[i].len;
    /* The tokens with their doubles need more room than what is left of them, and only until they are joined. */
    struct arena *scratch = arena_new(64 * bytes + 65536);
    struct tokens tokens = {0};
    if (scratch == NULL)
        return extra;
    buf_init(&tokens.token, scratch);
    /* Two words have a byte or a change of scripts between them, and a dense letter has three. */
    tokens.list = arena_alloc(scratch, (bytes / 2 + count) * sizeof *tokens.list);
    for (size_t i = 0; tokens.list != NULL && i < count; i++) {
        struct word word;
        for (int32_t at = 0; next_word(texts[i], &at, &word);)
            add_tokens(&tokens, &word);
    }
    if (!arena_exhausted(scratch))
        extra = join(arena, &tokens);
    arena_free(&scratch);
    return extra;
}
