-- Where the wall clock was set during the programme: `segment:milliseconds`, with spaces between.
ALTER TABLE spaces ADD COLUMN corrections TEXT NOT NULL DEFAULT '';
