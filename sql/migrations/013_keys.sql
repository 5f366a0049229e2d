-- The keys that access tokens are signed with: the newest signs, all of them verify. courantctl migrate makes the first.
CREATE TABLE IF NOT EXISTS signing_keys (
    kid        CHAR(16)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    secret     BINARY(32)  NOT NULL,
    created_at DATETIME(6) NOT NULL
) ENGINE = InnoDB;
