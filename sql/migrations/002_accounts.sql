-- The read model of the user streams.
CREATE TABLE IF NOT EXISTS users (
    id            CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    username      VARCHAR(40)  CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    email         VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL,
    permissions   VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version       BIGINT UNSIGNED NOT NULL,
    created_at    DATETIME(6)  NOT NULL,
    updated_at    DATETIME(6)  NOT NULL,
    last_login_at DATETIME(6)  NULL,
    UNIQUE KEY username (username),
    UNIQUE KEY email (email)
) ENGINE = InnoDB;

-- Not a read model: secrets are never in an event.
CREATE TABLE IF NOT EXISTS credentials (
    user_id       CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    password_hash VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB;
