-- The event log. Positions are dense: the next one is taken from the one row of log_head, under its lock.
CREATE TABLE IF NOT EXISTS log_head (
    one      TINYINT UNSIGNED NOT NULL PRIMARY KEY CHECK (one = 1),
    position BIGINT UNSIGNED  NOT NULL,
    hash     BINARY(32)       NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO log_head (one, position, hash) VALUES (1, 0, REPEAT(X'00', 32));

-- data and metadata are JSON texts, kept byte for byte: the digest covers them as they are.
CREATE TABLE IF NOT EXISTS events (
    position    BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    id          CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    stream      VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version     BIGINT UNSIGNED NOT NULL,
    type        VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    audience    VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    data        LONGTEXT     CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    metadata    TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    recorded_at DATETIME(6)  NOT NULL,
    digest      BINARY(32)   NOT NULL,
    hash        BINARY(32)   NOT NULL,
    UNIQUE KEY event_id (id),
    UNIQUE KEY stream_version (stream, version)
) ENGINE = InnoDB;

-- A reader that passes events on before anybody has acknowledged them commits here first: see events/eventlog.h.
CREATE TABLE IF NOT EXISTS log_fence (
    one   TINYINT UNSIGNED NOT NULL PRIMARY KEY CHECK (one = 1),
    count BIGINT UNSIGNED  NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO log_fence (one, count) VALUES (1, 0);
