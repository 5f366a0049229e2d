-- Who acted, for the audit trail (events/audit.h): the user_id of an event's metadata. It is kept in the row, for InnoDB
-- then treats it as any other column, after a crash too. One more than an id has, so that what is longer is no id.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS user_id VARCHAR(37) CHARACTER SET ascii COLLATE ascii_bin
        AS (CONVERT(LEFT(JSON_VALUE(metadata, '$.user_id'), 37) USING ascii)) STORED INVISIBLE,
    ADD KEY IF NOT EXISTS by_user (user_id, position);
