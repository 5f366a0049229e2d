-- Who made an invitation, so that it ends with him, and an id by which others can end it. NULL: an operator made it.
ALTER TABLE invitations
    ADD COLUMN IF NOT EXISTS id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS inviter CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD KEY IF NOT EXISTS id (id),
    ADD KEY IF NOT EXISTS of_inviter (inviter);
-- UUIDs of version 7 as they would have been, so that the list is by time.
UPDATE invitations
    SET id = INSERT(CONCAT(LPAD(LOWER(HEX(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) DIV 1000)), 12, '0'), '-7',
                           LEFT(MD5(UUID()), 3), '-8', LEFT(MD5(UUID()), 3), '-', LEFT(MD5(UUID()), 12)), 9, 0, '-')
    WHERE id = '';
