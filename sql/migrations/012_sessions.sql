-- Sessions and credentials: not read models, for what they hold is in no event. Tokens are kept as SHA-256 only.
CREATE TABLE IF NOT EXISTS sessions (
    id         CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    user_id    CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    agent      VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    used_at    DATETIME(6)  NOT NULL,
    expires_at DATETIME(6)  NOT NULL,
    KEY of_user (user_id, id),
    KEY expires_at (expires_at)
) ENGINE = InnoDB;

-- One that was used stays, so that a second use of it is noticed.
CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash       BINARY(32)   NOT NULL PRIMARY KEY,
    session_id CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    used       TINYINT UNSIGNED NOT NULL DEFAULT 0,
    created_at DATETIME(6)  NOT NULL,
    KEY of_session (session_id),
    FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS api_tokens (
    id         CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    user_id    CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name       VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    hash       BINARY(32)   NOT NULL,
    scopes     VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    expires_at DATETIME(6)  NULL,
    UNIQUE KEY hash (hash),
    KEY of_user (user_id, id)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS invitations (
    hash       BINARY(32)   NOT NULL PRIMARY KEY,
    created_at DATETIME(6)  NOT NULL,
    expires_at DATETIME(6)  NOT NULL
) ENGINE = InnoDB;
