-- What commands with an Idempotency-Key were answered, written in their own transactions.
CREATE TABLE IF NOT EXISTS commands (
    actor           CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    idempotency_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    digest          BINARY(32)   NOT NULL,
    event_id        CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status          SMALLINT UNSIGNED NOT NULL,
    headers         TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    body            MEDIUMTEXT   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at      DATETIME(6)  NOT NULL,
    UNIQUE KEY idempotency (actor, idempotency_key),
    KEY created_at (created_at)
) ENGINE = InnoDB;
