-- How far a table that is being rebuilt is, and which program does it: see events/rebuild.h.
CREATE TABLE IF NOT EXISTS rebuilds (
    model    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    position BIGINT UNSIGNED NOT NULL,
    program  CHAR(64)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB;
