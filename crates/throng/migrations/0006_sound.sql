-- Whether voices are levelled, and whether each speaker's own sound is kept: 0 or 1.
ALTER TABLE spaces ADD COLUMN levelling BIGINT NOT NULL DEFAULT 1;
ALTER TABLE spaces ADD COLUMN tracks BIGINT NOT NULL DEFAULT 0;
