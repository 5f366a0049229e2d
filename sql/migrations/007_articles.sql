-- Articles in full: slugs, deletion, and what a query answers, made when it is written: summary is the article as JSON
-- without its content, rest the members content and html that follow it. Rows that are there get theirs by a rebuild,
-- which courantctl migrate does for the models that are noted in `rebuilds` as «migration:<model>».
ALTER TABLE articles
    ADD COLUMN IF NOT EXISTS slug      VARCHAR(120) CHARACTER SET ascii COLLATE ascii_bin NULL AFTER author_name,
    ADD COLUMN IF NOT EXISTS slug_kept TINYINT UNSIGNED NOT NULL DEFAULT 0 AFTER slug,
    ADD COLUMN IF NOT EXISTS summary   TEXT       CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS rest      MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    MODIFY status ENUM('draft', 'published', 'deleted') NOT NULL,
    ADD UNIQUE KEY IF NOT EXISTS slug (slug),
    DROP KEY IF EXISTS by_author,
    ADD KEY IF NOT EXISTS by_author_status (author_id, status, id),
    ADD KEY IF NOT EXISTS newest (status, published_at, id);

-- One row for each tag of each article: a list by tag is one range of an index.
CREATE TABLE IF NOT EXISTS articles_tags (
    id        CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    tag       VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    status    ENUM('draft', 'published', 'deleted') NOT NULL,
    author_id CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (id, tag),
    KEY by_tag (tag, status, id),
    KEY by_tag_author (tag, author_id, status, id)
) ENGINE = InnoDB;

-- The text of what is published, for the search: without stop words, and without regard to case and accents.
SET SESSION innodb_ft_enable_stopword = OFF;
CREATE TABLE IF NOT EXISTS articles_search (
    id      CHAR(36)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    title   VARCHAR(200)  CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    lead    VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    content MEDIUMTEXT    CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    FULLTEXT KEY search (title, lead, content)
) ENGINE = InnoDB;

REPLACE INTO rebuilds (model, position, program) SELECT 'migration:articles', 0, '' FROM articles LIMIT 1;
