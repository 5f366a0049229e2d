-- The read model of the article streams. Identifiers rise with time, so their order is that of creation.
CREATE TABLE IF NOT EXISTS articles (
    id           CHAR(36)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    author_id    CHAR(36)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    author_name  VARCHAR(40)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    status       ENUM('draft', 'published') NOT NULL,
    title        VARCHAR(200)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    subtitle     VARCHAR(200)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    lead         VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    content      MEDIUMTEXT    CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    tags         TEXT          CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    version      BIGINT UNSIGNED NOT NULL,
    created_at   DATETIME(6)   NOT NULL,
    updated_at   DATETIME(6)   NOT NULL,
    published_at DATETIME(6)   NULL,
    KEY published (status, id),
    KEY by_author (author_id, id)
) ENGINE = InnoDB;
