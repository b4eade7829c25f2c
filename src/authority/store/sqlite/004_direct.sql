-- Version 4: invitations to enrol a first key, one for each person.
CREATE TABLE invitation (
    sub        TEXT PRIMARY KEY REFERENCES "user" (sub),
    hash       TEXT NOT NULL UNIQUE,             -- base64url SHA-256 of the code
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER
) STRICT;
