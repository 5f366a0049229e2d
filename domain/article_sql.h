/* What the queries of articles share. */
#ifndef COURANT_DOMAIN_ARTICLE_SQL_H
#define COURANT_DOMAIN_ARTICLE_SQL_H

/* A compound statement whose variable p is the log's position from before all that it reads. */
#define POSITION_FIRST                                                                                                 \
    "BEGIN NOT ATOMIC DECLARE p BIGINT UNSIGNED DEFAULT (SELECT position FROM log_head WHERE one = 1); "

#endif
