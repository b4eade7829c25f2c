-- Version 3: invitations to enrol a first key, one for each person. SQLite's version 4.
CREATE TABLE invitation (
    sub        TEXT COLLATE "C" PRIMARY KEY REFERENCES "user" (sub),
    hash       TEXT COLLATE "C" NOT NULL UNIQUE, -- base64url SHA-256 of the code
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT
);
