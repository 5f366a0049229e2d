/* courantctl user list | add | passwd | grant | revoke | erase | invite */
#include "ctl/ctl.h"

#include "base/clock.h"
#include "domain/model.h"
#include "domain/session.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSWORD_BYTES = 15, DAY_S = 86400, DAYS_MOST = 3650, PAGE = 500, TRIES = 20 };

static const char USAGE[] =
    "user list | add NAME --email E [--admin] [--password-stdin] | passwd NAME [--password-stdin]\n"
    "       | grant NAME PERMISSION... | revoke NAME PERMISSION... | erase NAME | invite [--days N]";

struct wish {
    const char *name, *email;
    bool admin, from_stdin;
    char password[PASSWORD_ROOM];
};

static bool read_wish(int argc, char **argv, struct wish *wish)
{
    if (argc < 2)
        return false;
    wish->name = argv[1];
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--email") == 0 && i + 1 < argc)
            wish->email = argv[++i];
        else if (strcmp(argv[i], "--admin") == 0)
            wish->admin = true;
        else if (strcmp(argv[i], "--password-stdin") == 0)
            wish->from_stdin = true;
        else
            return false;
    }
    return true;
}

static int get_password(struct ctl *ctl, struct wish *wish, struct err *err)
{
    unsigned char raw[PASSWORD_BYTES];
    if (wish->from_stdin)
        return ctl_read_password(wish->password, sizeof wish->password, err);
    crypt_random(raw, sizeof raw);
    struct str text = base64url_encode(ctl->arena, raw, sizeof raw);
    crypt_wipe(raw, sizeof raw);
    snprintf(wish->password, sizeof wish->password, "%s", text.data != NULL ? text.data : "");
    return text.data != NULL ? 0 : fail(err, ERR_INTERNAL, "no memory");
}

static struct json_object *payload_of(const struct wish *wish)
{
    struct json_object *payload = json_object_new_object();
    json_object_object_add(payload, "username", json_object_new_string(wish->name));
    json_object_object_add(payload, "email", json_object_new_string(wish->email));
    json_object_object_add(payload, "password", json_object_new_string(wish->password));
    if (wish->admin) {
        struct json_object *permissions = json_object_new_array();
        for (const char *at = ALL_PERMISSIONS; *at != '\0';) {
            size_t len = strcspn(at, " ");
            json_object_array_add(permissions, json_object_new_string_len(at, (int)len));
            at += len + strspn(at + len, " ");
        }
        json_object_object_add(payload, "permissions", permissions);
    }
    return payload;
}

/* Dispatches a command as the operator, on that version; a fault of the payload is the error. */
static int dispatch_on(struct ctl *ctl, const struct command_type *type, const char *target, int64_t version,
                       struct json_object *payload, struct outcome *outcome, struct err *err)
{
    struct faults faults;
    struct command command = {.type = type,
                              .payload = payload,
                              .actor = &OPERATOR,
                              .conf = &ctl->conf,
                              .arena = ctl->arena,
                              .source = "courantctl",
                              .target = target,
                              .expected = version};
    int status = command_dispatch(ctl->db, &MODEL, &command, outcome, &faults, err);
    if (status != 0 && faults.count > 0)
        fail(err, ERR_INVALID, "%s %s", faults.list[0].pointer + 1, faults.list[0].detail);
    json_object_put(payload);
    return status;
}

static int dispatch(struct ctl *ctl, const struct command_type *type, const char *target, struct json_object *payload,
                    struct outcome *outcome, struct err *err)
{
    return dispatch_on(ctl, type, target, type->creates ? NO_VERSION : ANY_VERSION, payload, outcome, err);
}

static int is_text(const struct wish *wish, struct err *err)
{
    const char *email = wish->email != NULL ? wish->email : "";
    if (utf8_valid(wish->name, strlen(wish->name)) && utf8_valid(email, strlen(email)) &&
        utf8_valid(wish->password, strlen(wish->password)))
        return 0;
    return fail(err, ERR_INVALID, "the name, the email and the password must be UTF-8");
}

static int add(struct ctl *ctl, int argc, char **argv, struct err *err)
{
    struct wish wish = {0};
    struct outcome outcome;
    if (!read_wish(argc, argv, &wish) || wish.email == NULL)
        return ctl_usage(USAGE);
    int status = get_password(ctl, &wish, err) == 0 && is_text(&wish, err) == 0
                     ? dispatch(ctl, &REGISTER_USER, NULL, payload_of(&wish), &outcome, err)
                     : -1;
    if (status == 0) {
        printf("user     %s%s\nid       %s\n", ctl_shown(ctl->arena, wish.name), wish.admin ? " (administrator)" : "",
               ((const struct user *)outcome.state)->id);
        if (!wish.from_stdin)
            printf("password %s\n", wish.password);
    }
    crypt_wipe(wish.password, sizeof wish.password);
    return status;
}

/* By name, email or id. */
static int find(struct ctl *ctl, const char *name, struct user *user, struct err *err)
{
    if (id_valid(name, strlen(name)))
        return user_find_id(ctl->db, ctl->arena, name, &OPERATOR, user, err);
    return user_find(ctl->db, ctl->arena, name, user, NULL, err);
}

static int passwd(struct ctl *ctl, int argc, char **argv, struct err *err)
{
    struct wish wish = {0};
    struct user user;
    struct outcome outcome;
    if (!read_wish(argc, argv, &wish) || wish.email != NULL || wish.admin)
        return ctl_usage(USAGE);
    if (find(ctl, wish.name, &user, err) != 0 || get_password(ctl, &wish, err) != 0 || is_text(&wish, err) != 0)
        return -1;
    struct json_object *payload = json_object_new_object();
    json_object_object_add(payload, "password", json_object_new_string(wish.password));
    int status = dispatch(ctl, &CHANGE_PASSWORD, user.id, payload, &outcome, err);
    if (status == 0) {
        printf("changed  the password of %s; all sessions and API tokens are over\n",
               ctl_shown(ctl->arena, user.username));
        if (!wish.from_stdin)
            printf("password %s\n", wish.password);
    }
    crypt_wipe(wish.password, sizeof wish.password);
    return status;
}

/* Those that the user has, and has not when the other words are taken away, or with them. */
static struct json_object *permissions_of(const struct user *user, int argc, char **argv, bool grants)
{
    struct json_object *list = json_object_new_array();
    for (const char *at = user->permissions; *at != '\0';) {
        size_t len = strcspn(at, " ");
        bool named = false;
        for (int i = 2; i < argc; i++)
            named = named || (strlen(argv[i]) == len && memcmp(argv[i], at, len) == 0);
        if (!named)
            json_object_array_add(list, json_object_new_string_len(at, (int)len));
        at += len + strspn(at + len, " ");
    }
    for (int i = 2; i < argc && grants; i++)
        json_object_array_add(list, json_object_new_string(argv[i]));
    return list;
}

static int permit(struct ctl *ctl, int argc, char **argv, bool grants, struct err *err)
{
    struct user user;
    struct outcome outcome;
    const struct actor all = {.permissions = ALL_PERMISSIONS};
    if (argc < 3)
        return ctl_usage(USAGE);
    for (int i = 2; i < argc; i++)
        if (!actor_may(&all, argv[i]))
            return fail(err, ERR_INVALID, "there is no permission %.60s; there are: %s", argv[i], ALL_PERMISSIONS);
    /* What was read is what is changed: somebody else may change it meanwhile. */
    int status = -1;
    for (int try = 0; status != 0 && try < TRIES; try++) {
        if (find(ctl, argv[1], &user, err) != 0)
            return -1;
        struct json_object *payload = json_object_new_object();
        json_object_object_add(payload, "permissions", permissions_of(&user, argc, argv, grants));
        status = dispatch_on(ctl, &SET_PERMISSIONS, user.id, user.version, payload, &outcome, err);
        if (status != 0 && err->kind != ERR_STALE)
            return -1;
    }
    if (status != 0)
        return -1;
    const char *now = ((const struct user *)outcome.state)->permissions;
    printf("user     %s\nmay      %s\n", ctl_shown(ctl->arena, user.username),
           now[0] != '\0' ? now : "(nothing of its own)");
    return 0;
}

static int grant(struct ctl *ctl, int argc, char **argv, struct err *err)
{
    return permit(ctl, argc, argv, true, err);
}

static int revoke(struct ctl *ctl, int argc, char **argv, struct err *err)
{
    return permit(ctl, argc, argv, false, err);
}

static int erase(struct ctl *ctl, int argc, char **argv, struct err *err)
{
    struct user user;
    struct outcome outcome;
    if (argc != 2)
        return ctl_usage(USAGE);
    if (find(ctl, argv[1], &user, err) != 0 ||
        dispatch(ctl, &ERASE_USER, user.id, json_object_new_object(), &outcome, err) != 0)
        return -1;
    printf("erased   %s; what the log holds of that person cannot be read any more\n", user.id);
    return 0;
}

static int list(struct ctl *ctl, int argc, char **argv, struct err *err)
{
    struct sql_rows rows = {.count = PAGE};
    const char *after = "";
    (void)argv;
    if (argc != 1)
        return ctl_usage(USAGE);
    printf("%-36s  %-20s  %-30s  %s\n", "id", "name", "email", "permissions");
    while (rows.count == PAGE) {
        if (sql_select(ctl->db, ctl->arena,
                       "SELECT id, username, email, permissions FROM users WHERE id > ? AND erased_at IS NULL ORDER BY "
                       "id LIMIT ?",
                       SQL_ARGS(SQL_TEXT(after), SQL_INT(PAGE)), &rows, err) != 0)
            return -1;
        for (size_t i = 0; i < rows.count; i++) {
            const char *name = SQL_CELL(&rows, i, 1).data, *email = SQL_CELL(&rows, i, 2).data;
            after = SQL_CELL(&rows, i, 0).data;
            printf("%-36s  %-20s  %-30s  %s\n", after, ctl_shown(ctl->arena, name != NULL ? name : "-"),
                   ctl_shown(ctl->arena, email != NULL ? email : "-"), SQL_CELL(&rows, i, 3).data);
        }
    }
    return 0;
}

static int invite(struct ctl *ctl, int argc, char **argv, struct err *err)
{
    char text[SECRET_TEXT], id[ID_TEXT], *end = NULL;
    unsigned char hash[SHA256_SIZE];
    long days = argc == 3 ? strtol(argv[2], &end, 10) : INVITATION_S / DAY_S;
    if (argc != 1 && (argc != 3 || strcmp(argv[1], "--days") != 0 || *end != '\0' || days < 1 || days > DAYS_MOST))
        return ctl_usage(USAGE);
    secret_make(INVITATION_KIND, text, hash);
    if (invitation_add(ctl->db, ctl->arena, &ctl->conf, hash, (int64_t)days * DAY_S, id, err) != 0)
        return -1;
    printf("%s\ngood for one registration within %ld day%s; its id is %s\n", text, days, days == 1 ? "" : "s", id);
    return 0;
}

int ctl_user(struct ctl *ctl, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct ctl *ctl, int argc, char **argv, struct err *err);
    } ACTIONS[] = {{"add", add},   {"erase", erase},   {"grant", grant},  {"invite", invite},
                   {"list", list}, {"passwd", passwd}, {"revoke", revoke}};
    struct err err;
    for (size_t i = 0; argc >= 2 && i < sizeof ACTIONS / sizeof ACTIONS[0]; i++) {
        if (strcmp(argv[1], ACTIONS[i].name) != 0)
            continue;
        int status = ACTIONS[i].run(ctl, argc - 1, argv + 1, &err);
        return status < 0 ? ctl_error(&err) : status;
    }
    return ctl_usage(USAGE);
}

/* What an account has several of: sessions and API tokens. */
struct holding {
    const char *name;
    const struct command_type *revoke;
    int (*owner)(struct sql *db, struct arena *arena, const char *id, const char **user_id, struct err *err);
    int (*list)(struct sql *db, const char *user_id, struct part *part, struct buf *buf, struct err *err);
};

static int sessions(struct sql *db, const char *user_id, struct part *part, struct buf *buf, struct err *err)
{
    return session_list(db, user_id, "", part, buf, err);
}

static int list_all(struct ctl *ctl, const struct holding *holding, const char *name, struct err *err)
{
    struct user user;
    struct buf buf;
    struct part part = {.limit = PAGE};
    buf_init(&buf, ctl->arena);
    if (find(ctl, name, &user, err) != 0)
        return -1;
    for (bool first = true; first || part.next != NULL; first = false) {
        part.before = part.next;
        buf_puts(&buf, first ? "" : ",");
        if (holding->list(ctl->db, user.id, &part, &buf, err) != 0)
            return -1;
    }
    if (buf.failed)
        return fail(err, ERR_INTERNAL, "no memory");
    buf_add(&buf, "", 1);
    printf("[%s]\n", ctl_shown(ctl->arena, buf.data));
    return 0;
}

static int revoke_one(struct ctl *ctl, const struct holding *holding, const char *id, struct err *err)
{
    struct outcome outcome;
    struct faults faults;
    const char *owner;
    struct json_object *nothing = json_object_new_object();
    struct command command = {.type = holding->revoke,
                              .payload = nothing,
                              .actor = &OPERATOR,
                              .conf = &ctl->conf,
                              .arena = ctl->arena,
                              .source = "courantctl",
                              .expected = NO_VERSION,
                              .aside = id};
    int status = holding->owner(ctl->db, ctl->arena, id, &owner, err);
    command.target = status == 0 ? owner : NULL;
    if (status == 0)
        status = command_dispatch(ctl->db, &MODEL, &command, &outcome, &faults, err);
    json_object_put(nothing);
    if (status == 0)
        printf("revoked  %s %s of user %s\n", holding->name, id, owner);
    return status;
}

/* courantctl session | token list NAME | revoke ID */
static int ctl_holding(struct ctl *ctl, const struct holding *holding, int argc, char **argv)
{
    struct err err;
    if (argc != 3 || (strcmp(argv[1], "list") != 0 && strcmp(argv[1], "revoke") != 0)) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s list NAME | revoke ID", holding->name);
        return ctl_usage(usage);
    }
    int status =
        strcmp(argv[1], "list") == 0 ? list_all(ctl, holding, argv[2], &err) : revoke_one(ctl, holding, argv[2], &err);
    return status == 0 ? CTL_OK : ctl_error(&err);
}

int ctl_session(struct ctl *ctl, int argc, char **argv)
{
    static const struct holding SESSIONS = {"session", &REVOKE_SESSION, session_owner, sessions};
    return ctl_holding(ctl, &SESSIONS, argc, argv);
}

int ctl_token(struct ctl *ctl, int argc, char **argv)
{
    static const struct holding TOKENS = {"token", &REVOKE_TOKEN, token_owner, token_list};
    return ctl_holding(ctl, &TOKENS, argc, argv);
}
