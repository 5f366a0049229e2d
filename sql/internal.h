/* What the files of this room share. */
#ifndef COURANT_SQL_INTERNAL_H
#define COURANT_SQL_INTERNAL_H

#include "sql/db.h"

#include <mysql.h>

/* Of a batch, and of one statement. */
enum { SQL_ARGS_MOST = 256, SQL_PLACES_MOST = 2048 };

/* Prepares text unless it is, sends it, reads every result; rows (NULL: none) are those of the first that has any. */
int sql_run(struct sql *db, struct arena *arena, const char *text, const struct sql_arg *args, size_t count,
            struct sql_rows *rows, int64_t *affected, struct err *err);

/* The server has ended the transaction. */
void sql_transaction_over(struct sql *db);

#endif
