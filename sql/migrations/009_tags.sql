-- Tags that differ by spaces at their end are different ones.
ALTER TABLE articles_tags MODIFY tag VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL;
