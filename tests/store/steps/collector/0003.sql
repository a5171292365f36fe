ALTER TABLE collector_cursors ADD COLUMN shown TEXT DEFAULT 'null' NOT NULL;
