-- What the host has set of seats: `seat:muted:gain`, with spaces between; muted is 0 or 1, gain in dB.
ALTER TABLE spaces ADD COLUMN seats TEXT NOT NULL DEFAULT '';
-- The seats that may be taken while the stage is locked, with spaces between; NULL while it is open.
ALTER TABLE spaces ADD COLUMN stage_lock TEXT;
