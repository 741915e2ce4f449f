-- What begins where in the recording, as JSON; empty where no chapter was ever made.
ALTER TABLE spaces ADD COLUMN chapters TEXT NOT NULL DEFAULT '';
-- For how many days the recording is kept after the end; NULL is for ever.
ALTER TABLE spaces ADD COLUMN keep_recording_days BIGINT;
-- Until when there was a recording that is gone, and who took it away: 'host' or 'time'.
ALTER TABLE spaces ADD COLUMN recording_deleted_at BIGINT;
ALTER TABLE spaces ADD COLUMN recording_deleted_by TEXT;

-- Whom the operator wants to be told; events are names with spaces between, none for all. No secret is kept.
CREATE TABLE webhooks (
    id          TEXT PRIMARY KEY,
    url         TEXT NOT NULL,
    events      TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);

-- What has not been delivered yet. A change of a space is kept together with what is to be told of it.
CREATE TABLE webhook_outbox (
    id          TEXT PRIMARY KEY,
    webhook_id  TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    body        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    failures    BIGINT NOT NULL DEFAULT 0,
    next_at     BIGINT NOT NULL
);

CREATE INDEX webhook_outbox_by_hook ON webhook_outbox (webhook_id, next_at);
