-- Whose name or address a remembered answer holds, for whoever is erased takes these along. What is there already says it
-- itself: an article names its author, an account is its user.
ALTER TABLE commands
    ADD COLUMN IF NOT EXISTS about CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    ADD KEY IF NOT EXISTS about (about);
UPDATE commands
    SET about = CONVERT(LEFT(COALESCE(JSON_VALUE(body, '$.author.id'), JSON_VALUE(body, '$.id'), ''), 36) USING ascii)
    WHERE about = '' AND body <> '';
ALTER TABLE commands DROP KEY IF EXISTS event_id;
