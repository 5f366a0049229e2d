/*
 * The schema, brought forward by the numbered files of a folder: NNN_name.sql, from 001 on without a hole.
 *
 * Each file that was applied is remembered with its SHA-256; a file that has since changed or gone is refused, before
 * anything is done. Statements that define tables cannot be rolled back, so a file must be safe to run again after a
 * crash in its midst (CREATE TABLE IF NOT EXISTS …); it is remembered once all of it has run.
 */
#ifndef COURANT_SQL_MIGRATE_H
#define COURANT_SQL_MIGRATE_H

#include "sql/db.h"

struct migration {
    int number;
    const char *name; /* the file's name */
    struct str text;
    char sha256[2 * SHA256_SIZE + 1];
    bool applied;
};

struct migrations {
    size_t count, pending;
    struct migration *list; /* by number */
};

/* Reads the folder and what the database remembers; all in the arena. */
int migrations_load(struct sql *db, struct arena *arena, const char *folder, struct migrations *migrations,
                    struct err *err);

/* Applies those that are pending, in order; done(migration) after each. Two at once: the second waits. */
int migrations_apply(struct sql *db, struct arena *arena, const char *folder, void (*done)(const struct migration *),
                     struct err *err);

/* The number of the newest migration that this program was built with, and that the database has (0: none). */
int migrations_built(void);
int migrations_applied(struct sql *db, struct arena *arena, int *number, struct err *err);

#endif
