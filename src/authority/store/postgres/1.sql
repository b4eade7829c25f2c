-- Version 1: SQLite's versions 1 and 2, and what several nodes share. Times are Unix seconds. Names are compared byte by
-- byte, as SQLite does. What someone who can write a table gains is said in docs/threat-model.md.
CREATE TABLE meta (key TEXT COLLATE "C" PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE "user" (
    sub         TEXT COLLATE "C" PRIMARY KEY,
    created_at  BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE TABLE security_key (
    credential_id TEXT COLLATE "C" PRIMARY KEY, -- base64url
    sub           TEXT COLLATE "C" NOT NULL REFERENCES "user" (sub),
    name          TEXT COLLATE "C" NOT NULL,
    credential    TEXT NOT NULL,                -- JSON: public key, counter, flags
    aaguid        TEXT NOT NULL,
    software      BIGINT NOT NULL,
    verifies_user BIGINT NOT NULL,
    transports    TEXT NOT NULL DEFAULT '[]',   -- JSON: hints how it can be reached
    enrolled_at   BIGINT NOT NULL,
    last_used_at  BIGINT,
    UNIQUE (sub, name)
);

-- Step-ups and enrolments that wait for their answer.
CREATE TABLE auth_session (
    hash       TEXT COLLATE "C" PRIMARY KEY,
    sub        TEXT COLLATE "C" NOT NULL,
    elevation  TEXT NOT NULL,
    content    TEXT NOT NULL,                   -- JSON: what was asked and challenged
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT
);
CREATE INDEX auth_session_sub ON auth_session (sub, expires_at);

CREATE TABLE elevation_grant (
    id         TEXT COLLATE "C" PRIMARY KEY,
    sub        TEXT COLLATE "C" NOT NULL REFERENCES "user" (sub),
    resource   TEXT COLLATE "C" NOT NULL,
    scope      TEXT NOT NULL,
    jkt        TEXT NOT NULL,
    acr        TEXT NOT NULL,
    operation  TEXT,                            -- JSON: the one change this grant is for
    keys       TEXT,                            -- for key.enroll: which keys the user had when policy let it through
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    spent_at   BIGINT
);
CREATE INDEX elevation_grant_sub ON elevation_grant (sub, resource);

-- Failed proofs, for the signal 'recent_failures'; pruned as it is written.
CREATE TABLE failure (sub TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL);
CREATE INDEX failure_sub ON failure (sub, at);

CREATE TABLE secret (
    resource   TEXT COLLATE "C" PRIMARY KEY,
    sealed     BYTEA NOT NULL,
    set_at     BIGINT NOT NULL,
    sealed_for TEXT                             -- JSON: salt and credential ids of the keys that unseal it
);

CREATE TABLE signing_key (
    kid        TEXT COLLATE "C" PRIMARY KEY,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

CREATE TABLE log_entry (idx BIGINT PRIMARY KEY, leaf BYTEA NOT NULL);
CREATE TABLE log_private (idx BIGINT PRIMARY KEY, salt TEXT NOT NULL, clear TEXT NOT NULL);
CREATE TABLE log_hash (idx BIGINT PRIMARY KEY, hash BYTEA NOT NULL);
CREATE TABLE log_checkpoint (size BIGINT PRIMARY KEY, note TEXT NOT NULL);

-- DPoP proofs that were used, and the epoch in which nonces are good. Unlogged: not worth a write to disk. A crash or a
-- failover empties both, and with the epoch every nonce ends, so that no proof from before is taken again.
CREATE UNLOGGED TABLE proof_epoch (one BIGINT PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL);
CREATE UNLOGGED TABLE spent_proof (id TEXT COLLATE "C" PRIMARY KEY, at BIGINT NOT NULL);
CREATE INDEX spent_proof_at ON spent_proof (at);
