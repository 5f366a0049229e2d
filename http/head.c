/* Parsing a request's head. See head.h. */
#include "http/head.h"

#include <string.h>

static const char TOKEN[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

size_t http_head_length(const char *text, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (text[i] == '\n' && (text[i - 1] == '\n' || (i >= 2 && text[i - 1] == '\r' && text[i - 2] == '\n')))
            return i + 1;
    return 0;
}

/* Cuts the line that begins at *at off, without its line end; NULL when there is none. */
static char *next_line(char **at, const char *end)
{
    char *line = *at, *feed = memchr(line, '\n', (size_t)(end - line));
    if (feed == NULL)
        return NULL;
    *feed = '\0';
    if (feed > line && feed[-1] == '\r')
        feed[-1] = '\0';
    *at = feed + 1;
    return line;
}

static int parse_request_line(struct http_head *head, char *line, struct err *err)
{
    char *space = strchr(line, ' '), *second = space != NULL ? strchr(space + 1, ' ') : NULL;
    if (second == NULL || strchr(second + 1, ' ') != NULL || strspn(line, TOKEN) != (size_t)(space - line) ||
        space == line || strncmp(second + 1, "HTTP/1.", 7) != 0 || strlen(second + 1) != 8)
        return fail(err, ERR_MALFORMED, "The request line is not one of HTTP/1.");
    *space = *second = '\0';
    for (const char *at = space + 1; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return fail(err, ERR_MALFORMED, "The target holds a control character.");
    head->method = line;
    head->target = space + 1;
    return 0;
}

static int parse_field(struct http_head *head, char *line, struct err *err)
{
    size_t name = strspn(line, TOKEN);
    if (name == 0 || line[name] != ':')
        return fail(err, ERR_MALFORMED, "A header line is not a field.");
    if (head->count == HEAD_FIELDS)
        return fail(err, ERR_MALFORMED, "There are more than %d header fields.", HEAD_FIELDS);
    line[name] = '\0';
    for (size_t i = 0; i < name; i++)
        if (line[i] >= 'A' && line[i] <= 'Z')
            line[i] = (char)(line[i] + 32);
    char *value = line + name + 1;
    value += strspn(value, " \t");
    for (size_t len = strlen(value); len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t');)
        value[--len] = '\0';
    head->fields[head->count].name = line;
    head->fields[head->count++].value = value;
    return 0;
}

int http_head_parse(struct http_head *head, char *text, size_t len, struct err *err)
{
    char *at = text;
    *head = (struct http_head){0};
    if (memchr(text, '\0', len) != NULL)
        return fail(err, ERR_MALFORMED, "The request holds a NUL.");
    char *line = next_line(&at, text + len);
    if (line == NULL)
        return fail(err, ERR_MALFORMED, "The request has no line.");
    if (parse_request_line(head, line, err) != 0)
        return -1;
    while ((line = next_line(&at, text + len)) != NULL && *line != '\0')
        if (parse_field(head, line, err) != 0)
            return -1;
    return 0;
}

const char *http_head_field(const void *source, const char *name)
{
    const struct http_head *head = source;
    for (size_t i = 0; i < head->count; i++)
        if (strcmp(head->fields[i].name, name) == 0)
            return head->fields[i].value;
    return NULL;
}
