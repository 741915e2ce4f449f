-- Whether the programme has two channels: 0 or 1. It is set when the space is made, and never again.
ALTER TABLE spaces ADD COLUMN stereo BIGINT NOT NULL DEFAULT 0;
