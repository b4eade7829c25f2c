-- Version 3: people who sign in over the network.
CREATE TABLE sign_in (
    id           TEXT PRIMARY KEY,
    hash         TEXT NOT NULL UNIQUE,           -- base64url SHA-256 of the token that the device holds
    sub          TEXT NOT NULL REFERENCES "user" (sub),
    jkt          TEXT NOT NULL,                  -- the device's proof key
    host         TEXT NOT NULL,                  -- what the device says that it is called
    person       TEXT NOT NULL,                  -- JSON: name, groups and how the provider knew them
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT;
CREATE INDEX sign_in_sub ON sign_in (sub, created_at);

-- Which grants end with which sign-in.
CREATE TABLE sign_in_grant (grant_id TEXT PRIMARY KEY, sign_in TEXT NOT NULL) STRICT;
CREATE INDEX sign_in_grant_sign_in ON sign_in_grant (sign_in);

-- Signing in, one step after the other: each is named by a secret that its owner holds, and is taken once.
CREATE TABLE sign_in_step (
    hash       TEXT PRIMARY KEY,                 -- base64url SHA-256 of the secret
    content    TEXT NOT NULL,                    -- JSON
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER,
    asked_at   INTEGER                           -- when a device last asked whether it is in
) STRICT;
CREATE INDEX sign_in_step_expires ON sign_in_step (expires_at);
