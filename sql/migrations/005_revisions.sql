-- Which revision an article is at. All that are there were written once.
ALTER TABLE articles ADD COLUMN IF NOT EXISTS revision BIGINT UNSIGNED NOT NULL DEFAULT 1 AFTER version;
