-- Which nodes run, and by which rules. It is worth nothing after a crash.
CREATE UNLOGGED TABLE node (
    name    TEXT COLLATE "C" PRIMARY KEY,        -- its host and data directory
    rules   TEXT NOT NULL,                       -- the digest of its rules
    seen_at TIMESTAMPTZ NOT NULL                 -- by PostgreSQL's clock
);
