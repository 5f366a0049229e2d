/* courantctl user add NAME --email E [--admin] [--password-stdin] */
#include "ctl/ctl.h"

#include "domain/model.h"
#include "domain/user.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum { PASSWORD_BYTES = 15, PASSWORD_ROOM = 1100 };

static const char USAGE[] = "user add NAME --email E [--admin] [--password-stdin]";

struct wish {
    const char *name, *email;
    bool admin, from_stdin;
    char password[PASSWORD_ROOM];
};

static bool read_wish(int argc, char **argv, struct wish *wish)
{
    if (argc < 3 || strcmp(argv[1], "add") != 0)
        return false;
    wish->name = argv[2];
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--email") == 0 && i + 1 < argc)
            wish->email = argv[++i];
        else if (strcmp(argv[i], "--admin") == 0)
            wish->admin = true;
        else if (strcmp(argv[i], "--password-stdin") == 0)
            wish->from_stdin = true;
        else
            return false;
    }
    return wish->email != NULL;
}

static int get_password(struct ctl *ctl, struct wish *wish, struct err *err)
{
    unsigned char raw[PASSWORD_BYTES];
    if (wish->from_stdin) {
        if (fgets(wish->password, sizeof wish->password, stdin) == NULL)
            return fail(err, ERR_INVALID, "there is no password on standard input");
        wish->password[strcspn(wish->password, "\r\n")] = '\0';
        return 0;
    }
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

static int add(struct ctl *ctl, struct wish *wish, struct outcome *outcome, struct err *err)
{
    struct faults faults;
    if (!utf8_valid(wish->name, strlen(wish->name)) || !utf8_valid(wish->email, strlen(wish->email)) ||
        !utf8_valid(wish->password, strlen(wish->password)))
        return fail(err, ERR_INVALID, "the name, the email and the password must be UTF-8");
    struct command command = {.type = &REGISTER_USER,
                              .payload = payload_of(wish),
                              .actor = &OPERATOR,
                              .conf = &ctl->conf,
                              .arena = ctl->arena,
                              .source = "courantctl",
                              .expected = NO_VERSION};
    int status = command_dispatch(ctl->db, &MODEL, &command, outcome, &faults, err);
    if (status != 0 && faults.count > 0)
        fail(err, ERR_INVALID, "%s %s", faults.list[0].pointer + 1, faults.list[0].detail);
    json_object_put(command.payload);
    return status;
}

int ctl_user(struct ctl *ctl, int argc, char **argv)
{
    struct wish wish = {0};
    struct outcome outcome;
    struct err err;
    if (!read_wish(argc, argv, &wish))
        return ctl_usage(USAGE);
    int status = get_password(ctl, &wish, &err) == 0 && add(ctl, &wish, &outcome, &err) == 0 ? CTL_OK : ctl_error(&err);
    if (status == CTL_OK) {
        printf("user     %s%s\nid       %s\n", wish.name, wish.admin ? " (administrator)" : "",
               ((const struct user *)outcome.state)->id);
        if (!wish.from_stdin)
            printf("password %s\n", wish.password);
    }
    crypt_wipe(wish.password, sizeof wish.password);
    return status;
}
