/*
 * The configuration: one file of `[section]` and `key = value` lines, read once at the start of a program.
 *
 * conf.c holds the one table of options; courant.conf(5) describes each, and a test fails for one it does not name.
 * Strings live as long as the configuration. A `*_file` option names a file that holds a secret.
 */
#ifndef COURANT_BASE_CONF_H
#define COURANT_BASE_CONF_H

#include "base/address.h"
#include "base/crypt.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { CONF_TEXT = 256 };

struct conf {
    char database_socket[CONF_TEXT];
    char database_host[CONF_TEXT];
    int64_t database_port;
    char database_name[CONF_TEXT];
    char database_user[CONF_TEXT];
    char database_password_file[CONF_TEXT];
    char nats_url[CONF_TEXT];
    char nats_stream[CONF_TEXT];
    char nats_subject[CONF_TEXT];
    int64_t nats_timeout_ms;
    char fcgi_listen[CONF_TEXT];
    int64_t fcgi_workers;
    int64_t fcgi_body_limit;
    int64_t fcgi_body_timeout_s;
    char notifier_listen[CONF_TEXT];
    char notifier_status_listen[CONF_TEXT];
    char notifier_trusted_proxies[CONF_TEXT];
    int64_t notifier_loops; /* 0: one for each core */
    int64_t notifier_clients;
    int64_t notifier_clients_user;
    int64_t notifier_clients_address;
    int64_t notifier_stream_age_s;
    int64_t notifier_canary_s;
    int64_t notifier_memory;
    int64_t notifier_history_memory;
    int64_t notifier_client_buffer;
    int64_t notifier_heartbeat_s;
    int64_t auth_token_s;
    int64_t auth_session_s;
    int64_t auth_session_max_s;
    char auth_registration[CONF_TEXT]; /* «open», «invitation» or «closed» */
    int64_t auth_argon2_ops;
    int64_t auth_argon2_memory;
    int64_t auth_argon2_concurrent;
    int64_t throttle_login_account; /* tries in a minute */
    int64_t throttle_login_address;
    int64_t throttle_register_address; /* in an hour, as the two below */
    int64_t throttle_update_account;
    int64_t throttle_update_address;
    char http_trusted_proxies[CONF_TEXT];
    char http_origins[CONF_TEXT];          /* of pages elsewhere that may call, with spaces between */
    char http_insecure_cookies[CONF_TEXT]; /* «yes» or «no» */
    char site_title[CONF_TEXT];
    char site_url[CONF_TEXT];          /* «https://example.org»; "": as the request says */
    char site_article_path[CONF_TEXT]; /* where an article is read, with {id} or {slug} */
    int64_t articles_content_limit;
    char features_articles[CONF_TEXT]; /* «event» or «direct» */
    char features_accounts[CONF_TEXT];
    char log_level[CONF_TEXT];

    /* For the program to set: how long an answer of the database may take. 0: as long as a request may wait. */
    unsigned database_reply_s;

    struct networks proxies;           /* those of http_trusted_proxies */
    struct networks notifier_networks; /* and those of notifier_trusted_proxies */

    /* Read from the files named above. */
    char database_password[CONF_TEXT];
};

/*
 * Reads path, or, where it is NULL, $COURANT_CONFIG, or else the installed courant.conf. A fault names the file and
 * the line. Also starts base/log with the level it finds.
 */
int conf_load(struct conf *conf, const char *path, const char *program, struct err *err);

/* Forgets the secrets. */
void conf_wipe(struct conf *conf);

/* Calls each(«section.key») for every option, for the test that compares them with the manual. */
void conf_each(void (*each)(const char *name, void *context), void *context);

#endif
