-- Keys of what is sealed in events (events/seal.h): one per user, destroyed when the user is erased.
CREATE TABLE IF NOT EXISTS seal_keys (
    id     CHAR(36)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    secret BINARY(32) NOT NULL
) ENGINE = InnoDB;

-- sealed: what the events say of name and address, as they say it; from before, as JSON. Who was erased has neither.
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS sealed MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '' AFTER id,
    ADD COLUMN IF NOT EXISTS erased_at DATETIME(6) NULL,
    MODIFY username VARCHAR(40)  CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL,
    MODIFY email    VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NULL;
UPDATE users SET sealed = JSON_OBJECT('username', username, 'email', email) WHERE sealed = '' AND username IS NOT NULL;
-- Erasing looks for what was answered to commands about a user.
ALTER TABLE commands ADD KEY IF NOT EXISTS event_id (event_id);
REPLACE INTO rebuilds (model, position, program) SELECT 'migration:users', 0, '' FROM users LIMIT 1;
