-- How many listeners the host reckons with, where that was said.
ALTER TABLE spaces ADD COLUMN expected_listeners BIGINT;
