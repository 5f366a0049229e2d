/* Migrations. See migrate.h. */
#include "sql/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef COURANT_MIGRATIONS
#error "COURANT_MIGRATIONS: the number of files in sql/migrations"
#endif

enum { FILES = 999, FILE_SIZE = 1024 * 1024 };

static const char *const CREATE =
    "CREATE TABLE IF NOT EXISTS schema_migrations (number INT UNSIGNED NOT NULL PRIMARY KEY, "
    "name VARCHAR(200) NOT NULL, sha256 CHAR(64) CHARACTER SET ascii NOT NULL, "
    "applied_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)) ENGINE = InnoDB";

int migrations_built(void)
{
    return COURANT_MIGRATIONS;
}

static int number_of(const char *name)
{
    size_t len = strlen(name);
    if (len < 9 || strspn(name, "0123456789") != 3 || name[3] != '_' || strcmp(name + len - 4, ".sql") != 0)
        return 0;
    return atoi(name);
}

static int read_text(struct arena *arena, const char *path, struct migration *migration, struct err *err)
{
    struct stat status;
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &status) != 0 || status.st_size > FILE_SIZE) {
        fail(err, ERR_INTERNAL, "migration %.200s: %s", path, file == NULL ? strerror(errno) : "more than 1 MiB");
        if (file != NULL)
            fclose(file);
        return -1;
    }
    char *text = arena_alloc(arena, (size_t)status.st_size + 1);
    size_t len = text != NULL ? fread(text, 1, (size_t)status.st_size, file) : 0;
    fclose(file);
    if (text == NULL || len != (size_t)status.st_size)
        return fail(err, ERR_INTERNAL, "migration %.200s: cannot be read", path);
    struct sha256 hash;
    unsigned char digest[SHA256_SIZE];
    sha256_start(&hash);
    sha256_add(&hash, text, len);
    sha256_end(&hash, digest);
    hex_encode(digest, sizeof digest, migration->sha256);
    migration->text = (struct str){text, len};
    return 0;
}

static int by_number(const void *a, const void *b)
{
    return ((const struct migration *)a)->number - ((const struct migration *)b)->number;
}

static int list_folder(struct arena *arena, const char *folder, struct migrations *migrations, struct err *err)
{
    DIR *directory = opendir(folder);
    migrations->list = arena_alloc(arena, FILES * sizeof *migrations->list);
    if (directory == NULL || migrations->list == NULL) {
        if (directory != NULL)
            closedir(directory);
        return fail(err, ERR_INTERNAL, "migrations in %.200s: %s", folder, strerror(errno));
    }
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(directory)) != NULL;) {
        int number = number_of(entry->d_name);
        const char *path = arena_printf(arena, "%s/%s", folder, entry->d_name);
        if (number == 0 || migrations->count == FILES)
            continue;
        struct migration *migration = &migrations->list[migrations->count++];
        migration->number = number;
        migration->name = arena_copy_z(arena, entry->d_name);
        status = path != NULL ? read_text(arena, path, migration, err) : fail(err, ERR_INTERNAL, "no memory");
    }
    closedir(directory);
    qsort(migrations->list, migrations->count, sizeof *migrations->list, by_number);
    for (size_t i = 0; status == 0 && i < migrations->count; i++)
        if (migrations->list[i].number != (int)i + 1)
            status =
                fail(err, ERR_INTERNAL, "migrations in %.200s: number %03zu is missing or there twice", folder, i + 1);
    return status;
}

static int compare(const struct sql_rows *rows, struct migrations *migrations, struct err *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        size_t number = (size_t)sql_number(SQL_CELL(rows, i, 0));
        const char *name = SQL_CELL(rows, i, 1).data, *sha256 = SQL_CELL(rows, i, 2).data;
        if (number < 1 || number > migrations->count)
            return fail(err, ERR_CONFLICT, "migration %.150s was applied to this database, but its file is missing",
                        name);
        struct migration *migration = &migrations->list[number - 1];
        if (strcmp(migration->sha256, sha256) != 0)
            return fail(err, ERR_CONFLICT, "migration %.150s was changed after it was applied to this database",
                        migration->name);
        migration->applied = true;
    }
    migrations->pending = migrations->count - rows->count;
    return 0;
}

int migrations_load(struct sql *db, struct arena *arena, const char *folder, struct migrations *migrations,
                    struct err *err)
{
    struct sql_rows there, rows = {0};
    *migrations = (struct migrations){0};
    if (list_folder(arena, folder, migrations, err) != 0)
        return -1;
    if (sql_select(db, arena,
                   "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = "
                   "'schema_migrations'",
                   NULL, 0, &there, err) != 0)
        return -1;
    if (there.count > 0 && sql_select(db, arena, "SELECT number, name, sha256 FROM schema_migrations ORDER BY number",
                                      NULL, 0, &rows, err) != 0)
        return -1;
    return compare(&rows, migrations, err);
}

static int apply_one(struct sql *db, const struct migration *migration, struct err *err)
{
    if (sql_script(db, migration->text.data, migration->text.len, err) != 0 ||
        sql_exec(db, "INSERT INTO schema_migrations (number, name, sha256) VALUES (?, ?, ?)",
                 SQL_ARGS(SQL_INT(migration->number), SQL_TEXT(migration->name), SQL_TEXT(migration->sha256)), NULL,
                 err) != 0)
        return fail_within(err, migration->name);
    return 0;
}

int migrations_apply(struct sql *db, struct arena *arena, const char *folder, void (*done)(const struct migration *),
                     struct err *err)
{
    struct migrations migrations;
    struct sql_rows lock;
    if (sql_select(db, arena, "SELECT GET_LOCK(CONCAT(DATABASE(), '.migrate'), 25)", NULL, 0, &lock, err) != 0)
        return -1;
    if (lock.count != 1 || sql_number(SQL_CELL(&lock, 0, 0)) != 1)
        return fail(err, ERR_UNAVAILABLE, "another migration of this database is running");
    int status = sql_script(db, CREATE, strlen(CREATE), err);
    if (status == 0)
        status = migrations_load(db, arena, folder, &migrations, err);
    for (size_t i = 0; status == 0 && i < migrations.count; i++) {
        if (migrations.list[i].applied)
            continue;
        status = apply_one(db, &migrations.list[i], err);
        if (status == 0)
            done(&migrations.list[i]);
    }
    if (sql_select(db, arena, "SELECT RELEASE_LOCK(CONCAT(DATABASE(), '.migrate'))", NULL, 0, &lock,
                   status == 0 ? err : NULL) != 0)
        return -1;
    return status;
}

int migrations_applied(struct sql *db, struct arena *arena, int *number, struct err *err)
{
    struct sql_rows rows;
    if (sql_select(db, arena, "SELECT COALESCE(MAX(number), 0) FROM schema_migrations", NULL, 0, &rows, err) != 0)
        return -1;
    *number = rows.count == 1 ? (int)sql_number(SQL_CELL(&rows, 0, 0)) : 0;
    return 0;
}
