/* courantctl key list | rotate [--now] */
#include "ctl/ctl.h"

#include "http/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Beside the life of a token: clocks differ. */
enum { SPARE_S = 120 };

static const char USAGE[] = "key list | rotate [--now]";

static int list(struct ctl *ctl, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(ctl->db, ctl->arena, "SELECT kid, created_at FROM signing_keys ORDER BY created_at DESC, kid", NULL,
                   0, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++)
        printf("%s  made %s UTC, %s\n", SQL_CELL(&rows, i, 0).data, SQL_CELL(&rows, i, 1).data,
               i == 0 ? "signs" : "only verifies");
    return 0;
}

static int rotate(struct ctl *ctl, bool now, struct err *err)
{
    char kid[KID_TEXT];
    int64_t keep_s = now ? 0 : ctl->conf.auth_token_s + SPARE_S;
    if (keys_rotate(ctl->db, keep_s, kid, err) != 0)
        return -1;
    printf("made     %s, which signs from now on\n", kid);
    if (now)
        printf("deleted  all others: every access token is void, and is made anew by a refresh\n");
    else
        printf("kept     those that tokens of the last %" PRId64 " s may be signed with\n", keep_s);
    return 0;
}

int ctl_key(struct ctl *ctl, int argc, char **argv)
{
    struct err err;
    bool rotates = argc >= 2 && strcmp(argv[1], "rotate") == 0, now = argc == 3 && strcmp(argv[2], "--now") == 0;
    if (argc < 2 || (!rotates && (strcmp(argv[1], "list") != 0 || argc > 2)) || (rotates && argc > 2 && !now))
        return ctl_usage(USAGE);
    return (rotates ? rotate(ctl, now, &err) : list(ctl, &err)) == 0 ? CTL_OK : ctl_error(&err);
}
