-- What holders of host and operator keys did, or tried to do, over the API: appended, and the oldest dropped. No addresses.
CREATE TABLE audit (
    space_id  TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    number    BIGINT NOT NULL,
    done_at   BIGINT NOT NULL,
    role      TEXT NOT NULL,
    -- The first digits of the key's digest, by which two keys are told apart.
    print     TEXT NOT NULL,
    method    TEXT NOT NULL,
    path      TEXT NOT NULL,
    -- Names of what was changed, with values that are numbers or yes and no; with spaces between.
    changed   TEXT NOT NULL,
    status    BIGINT NOT NULL,
    PRIMARY KEY (space_id, number)
);
