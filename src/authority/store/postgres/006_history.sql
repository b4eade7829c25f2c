-- Version 6: what is remembered of each user, for signals of risk: bounded, and deleted with the user.
CREATE TABLE history (
    sub     TEXT COLLATE "C" PRIMARY KEY REFERENCES "user" (sub) ON DELETE CASCADE,
    content TEXT NOT NULL                        -- JSON: counters, and names under the authority's key
);
