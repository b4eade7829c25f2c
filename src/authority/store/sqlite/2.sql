-- Version 2: what a real security key brings.
ALTER TABLE security_key ADD COLUMN transports TEXT NOT NULL DEFAULT '[]';  -- JSON: hints how it can be reached

-- For key.enroll: which keys the user had when policy let it through.
ALTER TABLE elevation_grant ADD COLUMN keys TEXT;

-- JSON: salt and credential ids of the security keys that unseal it. Bound into `sealed`.
ALTER TABLE secret ADD COLUMN sealed_for TEXT;
