-- By how many seconds the programme is later than the stage.
ALTER TABLE spaces ADD COLUMN delay_seconds BIGINT NOT NULL DEFAULT 0;
-- What the host tells all who listen, where that was said.
ALTER TABLE spaces ADD COLUMN message TEXT;
