-- Times are Unix milliseconds, parts are counted from 0 at the space's epoch (created_at).
CREATE TABLE spaces (
    id            TEXT PRIMARY KEY,
    slug          TEXT NOT NULL UNIQUE,
    title         TEXT NOT NULL,
    state         TEXT NOT NULL,
    speakers      BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    scheduled_at  BIGINT,
    delay_reason  TEXT,
    doors_part    BIGINT,
    live_part     BIGINT,
    end_part      BIGINT,
    started_at    BIGINT,
    ended_at      BIGINT,
    peak          BIGINT NOT NULL DEFAULT 0,
    joined        BIGINT NOT NULL DEFAULT 0
);

-- A key is kept as its SHA-256 only.
CREATE TABLE grants (
    digest      TEXT PRIMARY KEY,
    space_id    TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    role        TEXT NOT NULL,
    seat        BIGINT,
    expires_at  BIGINT,
    revoked_at  BIGINT
);

CREATE INDEX grants_by_space ON grants (space_id);
