-- Version 2: people who sign in over the network. SQLite's version 3.
CREATE TABLE sign_in (
    id           TEXT COLLATE "C" PRIMARY KEY,
    hash         TEXT COLLATE "C" NOT NULL UNIQUE, -- base64url SHA-256 of the token that the device holds
    sub          TEXT COLLATE "C" NOT NULL REFERENCES "user" (sub),
    jkt          TEXT NOT NULL,                  -- the device's proof key
    host         TEXT NOT NULL,                  -- what the device says that it is called
    person       TEXT NOT NULL,                  -- JSON: name, groups and how the provider knew them
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX sign_in_sub ON sign_in (sub, created_at);

-- Which grants end with which sign-in.
CREATE TABLE sign_in_grant (grant_id TEXT COLLATE "C" PRIMARY KEY, sign_in TEXT COLLATE "C" NOT NULL);
CREATE INDEX sign_in_grant_sign_in ON sign_in_grant (sign_in);

-- Signing in, one step after the other: each is named by a secret that its owner holds, and is taken once.
CREATE TABLE sign_in_step (
    hash       TEXT COLLATE "C" PRIMARY KEY,     -- base64url SHA-256 of the secret
    content    TEXT NOT NULL,                    -- JSON
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT,
    asked_at   BIGINT                            -- when a device last asked whether it is in
);
CREATE INDEX sign_in_step_expires ON sign_in_step (expires_at);
