-- When a user's name last became another one: articles that show it from before are not the same any more. Rows of direct mode
-- have no events that say it; for them it is when anything of them changed.
ALTER TABLE users ADD COLUMN IF NOT EXISTS renamed_at DATETIME(6) NULL AFTER updated_at;
UPDATE users SET renamed_at = updated_at WHERE renamed_at IS NULL AND updated_at > created_at;
REPLACE INTO rebuilds (model, position, program) SELECT 'migration:users', 0, '' FROM users LIMIT 1;
-- Words with letters that FULLTEXT does not know are written otherwise (base/words.h).
REPLACE INTO rebuilds (model, position, program) SELECT 'migration:articles', 0, '' FROM articles LIMIT 1;
-- Shadows of rebuilds that were broken off have other names by now.
DROP TABLE IF EXISTS rebuild_users, rebuild_old_users, rebuild_articles, rebuild_old_articles, rebuild_articles_search,
    rebuild_old_articles_search, rebuild_articles_tags, rebuild_old_articles_tags;
