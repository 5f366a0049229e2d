/* The table of options and the reader of the file. See conf.h. */
#include "base/conf.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef COURANT_SYSCONF
#define COURANT_SYSCONF "/etc/courant"
#endif

struct option {
    const char *section, *key, *standard;
    size_t offset;
    int64_t least, most; /* both 0 for a text */
    const char *choices; /* the words that a text may be; NULL: any */
};

#define TEXT(section, key, standard)                                                                                   \
    {                                                                                                                  \
#section, #key, standard, offsetof(struct conf, section##_##key), 0, 0, NULL                                   \
    }
#define CHOICE(section, key, standard, choices)                                                                        \
    {                                                                                                                  \
#section, #key, standard, offsetof(struct conf, section##_##key), 0, 0, choices                                \
    }
#define NUMBER(section, key, standard, least, most)                                                                    \
    {                                                                                                                  \
#section, #key, standard, offsetof(struct conf, section##_##key), least, most, NULL                            \
    }

static const struct option options[] = {
    TEXT(database, socket, ""),
    TEXT(database, host, "127.0.0.1"),
    NUMBER(database, port, "3306", 1, 65535),
    TEXT(database, name, "courant"),
    TEXT(database, user, "courant"),
    TEXT(database, password_file, ""),
    TEXT(nats, url, "nats://127.0.0.1:4222"),
    TEXT(nats, stream, "COURANT"),
    TEXT(nats, subject, "courant.events"),
    NUMBER(nats, timeout_ms, "500", 10, 60000),
    TEXT(fcgi, listen, "unix:/run/courant/fcgi.sock"),
    NUMBER(fcgi, workers, "24", 1, 1024),
    NUMBER(fcgi, body_limit, "262144", 1024, 917504),
    NUMBER(fcgi, body_timeout_s, "20", 1, 3600),
    TEXT(notifier, listen, "unix:/run/courant/notifier.sock"),
    TEXT(notifier, status_listen, "unix:/run/courant/notifier-status.sock"),
    TEXT(notifier, trusted_proxies, "127.0.0.1, ::1"),
    NUMBER(notifier, loops, "0", 0, 64),
    NUMBER(notifier, clients, "10000", 1, 1000000),
    NUMBER(notifier, clients_user, "32", 1, 1000000),
    NUMBER(notifier, clients_address, "256", 1, 1000000),
    NUMBER(notifier, stream_age_s, "3600", 1, 604800),
    NUMBER(notifier, canary_s, "60", 1, 86400),
    NUMBER(notifier, memory, "33554432", 1048576, 17179869184),
    NUMBER(notifier, history_memory, "16777216", 1048576, 17179869184),
    NUMBER(notifier, client_buffer, "262144", 4096, 16777216),
    NUMBER(notifier, heartbeat_s, "15", 1, 3600),
    NUMBER(auth, token_s, "900", 1, 86400),
    NUMBER(auth, session_s, "2592000", 60, 315360000),
    NUMBER(auth, session_max_s, "15552000", 60, 315360000),
    CHOICE(auth, registration, "open", "open invitation closed"),
    NUMBER(auth, argon2_ops, "2", 1, 64),
    NUMBER(auth, argon2_concurrent, "4", 1, 64),
    NUMBER(throttle, login_account, "10", 0, 1000000),
    NUMBER(throttle, login_address, "60", 0, 1000000),
    NUMBER(throttle, register_address, "20", 0, 1000000),
    NUMBER(throttle, update_account, "30", 0, 1000000),
    NUMBER(throttle, update_address, "120", 0, 1000000),
    TEXT(http, trusted_proxies, ""),
    NUMBER(auth, argon2_memory, "67108864", 8192, 4294967296),
    TEXT(http, origins, ""),
    CHOICE(http, insecure_cookies, "no", "no yes"),
    TEXT(site, title, "Courant"),
    TEXT(site, url, ""),
    TEXT(site, article_path, "/api/articles/{id}"),
    NUMBER(articles, content_limit, "10000", 1, 1000000),
    CHOICE(features, articles, "event", "event direct"),
    CHOICE(features, accounts, "event", "event direct"),
    CHOICE(log, level, "info", "error warning info debug"),
};

enum { OPTIONS = sizeof options / sizeof options[0] };

/* Whether a word is one of those, which have spaces between. */
static bool is_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = choices; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " "))
        if (strcspn(at, " ") == len && strncmp(at, word, len) == 0)
            return true;
    return false;
}

static int set(struct conf *conf, const struct option *option, const char *value, struct err *err)
{
    char *field = (char *)conf + option->offset;
    if (option->most == 0) {
        if (strlen(value) >= CONF_TEXT)
            return fail(err, ERR_INTERNAL, "%s.%s is longer than %d bytes", option->section, option->key,
                        CONF_TEXT - 1);
        if (option->choices != NULL && !is_choice(option->choices, value))
            return fail(err, ERR_INTERNAL, "%s.%s = %.40s: one of these is needed: %s", option->section, option->key,
                        value, option->choices);
        memcpy(field, value, strlen(value) + 1);
        return 0;
    }
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || number < option->least || number > option->most)
        return fail(err, ERR_INTERNAL, "%s.%s = %.40s: a whole number from %lld to %lld is needed", option->section,
                    option->key, value, (long long)option->least, (long long)option->most);
    int64_t stored = number;
    memcpy(field, &stored, sizeof stored);
    return 0;
}

static const struct option *find(const char *section, const char *key)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (strcmp(options[i].section, section) == 0 && strcmp(options[i].key, key) == 0)
            return &options[i];
    return NULL;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

static int read_line(struct conf *conf, char *line, char section[64], struct err *err)
{
    char *text = trim(line);
    size_t len = strlen(text);
    if (len == 0 || *text == '#' || *text == ';')
        return 0;
    if (*text == '[') {
        if (text[len - 1] != ']' || len > 60)
            return fail(err, ERR_INTERNAL, "a section is written [name]");
        memcpy(section, text + 1, len - 2);
        section[len - 2] = '\0';
        return 0;
    }
    char *equals = strchr(text, '=');
    if (equals == NULL)
        return fail(err, ERR_INTERNAL, "neither [section] nor key = value");
    *equals = '\0';
    const char *key = trim(text);
    const struct option *option = find(section, key);
    if (option == NULL)
        return fail(err, ERR_INTERNAL, "there is no option %.60s in [%.60s]", key, section);
    return set(conf, option, trim(equals + 1), err);
}

static int read_file(struct conf *conf, const char *path, struct err *err)
{
    char line[1024], section[64] = "", where[400];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fail(err, ERR_INTERNAL, "configuration %.200s: %s", path, strerror(errno));
    int status = 0, c = '\0';
    for (int number = 1; status == 0 && c != EOF; number++) {
        size_t len = 0;
        while ((c = fgetc(file)) != EOF && c != '\n' && len < sizeof line - 1)
            line[len++] = (char)c;
        line[len] = '\0';
        if (c != EOF && c != '\n')
            status = fail(err, ERR_INTERNAL, "a line of more than %zu bytes", sizeof line - 2);
        else if (strlen(line) != len)
            status = fail(err, ERR_INTERNAL, "a line with a NUL byte");
        else
            status = read_line(conf, line, section, err);
        if (status != 0) {
            snprintf(where, sizeof where, "%.200s:%d", path, number);
            fail_within(err, where);
        }
    }
    fclose(file);
    return status;
}

/* The first line of a secret's file, without its line end. */
static int read_secret(const char *path, char *out, size_t size, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fail(err, ERR_INTERNAL, "secret file %.200s: %s", path, strerror(errno));
    char *got = fgets(out, (int)size, file);
    fclose(file);
    if (got == NULL)
        return fail(err, ERR_INTERNAL, "secret file %.200s is empty", path);
    out[strcspn(out, "\r\n")] = '\0';
    return 0;
}

static int read_secrets(struct conf *conf, struct err *err)
{
    if (conf->database_password_file[0] == '\0')
        return 0;
    return read_secret(conf->database_password_file, conf->database_password, sizeof conf->database_password, err);
}

static void start_log(const struct conf *conf, const char *program)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
        if (strcmp(conf->log_level, names[level]) == 0)
            log_start(program, (enum log_level)level);
}

/* «https://example.org», as a browser says it: a scheme, a host, perhaps a port, and no path. */
static int check_origins(const char *origins, struct err *err)
{
    for (const char *at = origins + strspn(origins, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        const char *host = strstr(at, "://");
        bool whole = host != NULL && host > at && host + 3 < at + len &&
                     memchr(host + 3, '/', len - (size_t)(host + 3 - at)) == NULL;
        if (!whole && (len != 1 || *at != '*'))
            return fail(err, ERR_INTERNAL, "http.origins: %.*s is no origin such as https://example.org, nor *",
                        (int)(len < 100 ? len : 100), at);
        at += len;
    }
    return 0;
}

static int read_proxies(struct conf *conf, struct err *err)
{
    char both[2 * CONF_TEXT + 2];
    if (networks_parse(conf->http_trusted_proxies, &conf->proxies, err) != 0) {
        fail_within(err, "http.trusted_proxies");
        return -1;
    }
    snprintf(both, sizeof both, "%s %s", conf->notifier_trusted_proxies, conf->http_trusted_proxies);
    if (networks_parse(both, &conf->notifier_networks, err) != 0) {
        fail_within(err, "notifier.trusted_proxies");
        return -1;
    }
    return 0;
}

int conf_load(struct conf *conf, const char *path, const char *program, struct err *err)
{
    memset(conf, 0, sizeof *conf);
    if (path == NULL)
        path = getenv("COURANT_CONFIG");
    if (path == NULL)
        path = COURANT_SYSCONF "/courant.conf";
    for (size_t i = 0; i < OPTIONS; i++)
        if (set(conf, &options[i], options[i].standard, err) != 0)
            return -1;
    if (read_file(conf, path, err) != 0)
        return -1;
    if (check_origins(conf->http_origins, err) != 0 || read_proxies(conf, err) != 0 || read_secrets(conf, err) != 0)
        return -1;
    start_log(conf, program); /* last: a configuration that is refused changes nothing */
    return 0;
}

void conf_wipe(struct conf *conf)
{
    crypt_wipe(conf->database_password, sizeof conf->database_password);
}

void conf_each(void (*each)(const char *name, void *context), void *context)
{
    char name[128];
    for (size_t i = 0; i < OPTIONS; i++) {
        snprintf(name, sizeof name, "%s.%s", options[i].section, options[i].key);
        each(name, context);
    }
}
