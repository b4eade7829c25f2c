-- Resources that are declared in the store, beside those of authority.toml.
CREATE TABLE resource (
    name       TEXT COLLATE "C" PRIMARY KEY,
    definition TEXT NOT NULL,                    -- JSON: the same keys as in authority.toml
    set_at     BIGINT NOT NULL
);
