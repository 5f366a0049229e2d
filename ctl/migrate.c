/* courantctl migrate [--dry-run] [--from FOLDER] */
#include "ctl/ctl.h"
#include "http/keys.h"
#include "sql/migrate.h"

#include <stdio.h>
#include <string.h>

#ifndef COURANT_PKGDATA
#define COURANT_PKGDATA "/usr/share/courant"
#endif

static void say_applied(const struct migration *migration)
{
    printf("applied  %s\n", migration->name);
    fflush(stdout);
}

static int dry_run(struct ctl *ctl, const char *folder)
{
    struct migrations migrations;
    struct err err;
    if (migrations_load(ctl->db, ctl->arena, folder, &migrations, &err) != 0)
        return ctl_error(&err);
    for (size_t i = 0; i < migrations.count; i++)
        printf("%s  %s\n", migrations.list[i].applied ? "there   " : "to apply", migrations.list[i].name);
    printf("%zu of %zu to apply; nothing was changed\n", migrations.pending, migrations.count);
    return CTL_OK;
}

/* What a rebuild has begun has the form of the tables from before. */
static int forget_rebuilds(struct ctl *ctl, const char *folder, struct err *err)
{
    struct migrations migrations;
    struct sql_rows rows;
    if (migrations_load(ctl->db, ctl->arena, folder, &migrations, err) != 0)
        return -1;
    if (migrations.pending == 0)
        return 0;
    if (sql_select(
            ctl->db, ctl->arena,
            "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'rebuilds'", NULL,
            0, &rows, err) != 0)
        return -1;
    return rows.count == 0
               ? 0
               : sql_exec(ctl->db, "DELETE FROM rebuilds WHERE model NOT LIKE 'migration:%'", NULL, 0, NULL, err);
}

int ctl_migrate(struct ctl *ctl, int argc, char **argv)
{
    const char *folder = COURANT_PKGDATA "/migrations";
    bool dry = false;
    struct err err;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dry-run") == 0)
            dry = true;
        else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
            folder = argv[++i];
        else
            return ctl_usage("migrate [--dry-run] [--from FOLDER]");
    }
    if (dry)
        return dry_run(ctl, folder);
    if (forget_rebuilds(ctl, folder, &err) != 0 ||
        migrations_apply(ctl->db, ctl->arena, folder, say_applied, &err) != 0)
        return ctl_error(&err);
    if (keys_make_first(ctl->db, &err) != 0 || ctl_rebuild_migrated(ctl, &err) != 0)
        return ctl_error(&err);
    printf("the schema is up to date\n");
    return CTL_OK;
}
