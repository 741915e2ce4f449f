-- Whether newcomers wait in the green room, 0 or 1; and the seats whose place does not hang on that: `seat:place`, with
-- spaces between.
ALTER TABLE spaces ADD COLUMN green_room BIGINT NOT NULL DEFAULT 0;
ALTER TABLE spaces ADD COLUMN places TEXT NOT NULL DEFAULT '';
-- Who talked when: `seat:from:parts`, with spaces between; each `from` counts from the one before.
ALTER TABLE spaces ADD COLUMN turns TEXT NOT NULL DEFAULT '';

-- Keys of cohosts. Not among the grants: versions before this one read no role there that they do not know.
CREATE TABLE cohosts (
    digest      TEXT PRIMARY KEY,
    space_id    TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    number      BIGINT NOT NULL,
    revoked_at  BIGINT
);

CREATE INDEX cohosts_by_space ON cohosts (space_id);
