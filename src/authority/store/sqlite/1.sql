-- Version 1. Times are Unix seconds. What someone who can write a table gains is said in docs/threat-model.md.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE user (
    sub         TEXT PRIMARY KEY,
    created_at  INTEGER NOT NULL,
    disabled_at INTEGER
) STRICT;

CREATE TABLE security_key (
    credential_id TEXT PRIMARY KEY,             -- base64url
    sub           TEXT NOT NULL REFERENCES user (sub),
    name          TEXT NOT NULL,
    credential    TEXT NOT NULL,                -- JSON: public key, counter, flags
    aaguid        TEXT NOT NULL,
    software      INTEGER NOT NULL,
    verifies_user INTEGER NOT NULL,
    enrolled_at   INTEGER NOT NULL,
    last_used_at  INTEGER,
    UNIQUE (sub, name)
) STRICT;

-- Step-ups and enrolments that wait for their answer.
CREATE TABLE auth_session (
    hash       TEXT PRIMARY KEY,
    sub        TEXT NOT NULL,
    elevation  TEXT NOT NULL,
    content    TEXT NOT NULL,                   -- JSON: what was asked and challenged
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER
) STRICT;
CREATE INDEX auth_session_sub ON auth_session (sub, expires_at);

CREATE TABLE elevation_grant (
    id         TEXT PRIMARY KEY,
    sub        TEXT NOT NULL REFERENCES user (sub),
    resource   TEXT NOT NULL,
    scope      TEXT NOT NULL,
    jkt        TEXT NOT NULL,
    acr        TEXT NOT NULL,
    operation  TEXT,                            -- JSON: the one change this grant is for
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    spent_at   INTEGER
) STRICT;
CREATE INDEX elevation_grant_sub ON elevation_grant (sub, resource);

-- Failed proofs, for the signal 'recent_failures'; pruned as it is written.
CREATE TABLE failure (sub TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX failure_sub ON failure (sub, at);

CREATE TABLE secret (
    resource TEXT PRIMARY KEY,
    sealed   BLOB NOT NULL,
    set_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_key (
    kid        TEXT PRIMARY KEY,
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT;

CREATE TABLE log_entry (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT;
CREATE TABLE log_private (idx INTEGER PRIMARY KEY, salt TEXT NOT NULL, clear TEXT NOT NULL) STRICT;
CREATE TABLE log_hash (idx INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE log_checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
