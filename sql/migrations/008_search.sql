-- The search finds words that FULLTEXT does not index: they stand in extra, made when an article is written (see
-- base/words.h). Rows that are there get theirs by the rebuild that courantctl migrate does for what is noted here.
ALTER TABLE articles
    ADD COLUMN IF NOT EXISTS extra MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '';

SET SESSION innodb_ft_enable_stopword = OFF;
ALTER TABLE articles_search
    ADD COLUMN IF NOT EXISTS extra MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL DEFAULT '',
    DROP KEY IF EXISTS search;
ALTER TABLE articles_search ADD FULLTEXT KEY search (title, lead, content, extra);

REPLACE INTO rebuilds (model, position, program) SELECT 'migration:articles', 0, '' FROM articles LIMIT 1;
