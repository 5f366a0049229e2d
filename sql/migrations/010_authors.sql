-- An author's name is the user's, who may change it or have it erased: it is looked up, and not in the article's row.
ALTER TABLE articles DROP COLUMN IF EXISTS author_name;
-- How often a name was changed: those who remember names learn of it here.
ALTER TABLE log_head ADD COLUMN IF NOT EXISTS names BIGINT UNSIGNED NOT NULL DEFAULT 0;
REPLACE INTO rebuilds (model, position, program) SELECT 'migration:articles', 0, '' FROM articles LIMIT 1;
