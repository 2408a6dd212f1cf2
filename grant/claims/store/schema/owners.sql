-- What owners need to see to their claims themselves. Secrets are kept as digests; what owners wrote can be erased.

CREATE TABLE drafts ( -- begun by an owner and not handed in: its number becomes the claim's
  id         TEXT PRIMARY KEY,
  programme  TEXT NOT NULL,
  answers    TEXT NOT NULL,
  changed_at BIGINT NOT NULL
);
CREATE INDEX drafts_by_age ON drafts (changed_at);

CREATE TABLE codes ( -- by which the owner of a draft or claim is known
  claim  TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  at     BIGINT NOT NULL
);

CREATE TABLE sessions (
  digest TEXT PRIMARY KEY,
  claim  TEXT NOT NULL,
  until  BIGINT NOT NULL
);
CREATE INDEX sessions_by_claim ON sessions (claim);
CREATE INDEX sessions_by_end ON sessions (until);

CREATE TABLE letters ( -- in the owner's own words: history has the hash of salt and text
  claim TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  salt  TEXT NOT NULL,
  text  TEXT NOT NULL,
  PRIMARY KEY (claim, seq),
  FOREIGN KEY (claim, seq) REFERENCES history (claim, seq) DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE keys ( -- of a claim's documents: whoever deletes it erases them, wherever copies of them are
  claim  TEXT PRIMARY KEY REFERENCES claims (id),
  secret TEXT NOT NULL
);

CREATE TABLE documents (
  claim  TEXT NOT NULL REFERENCES claims (id),
  digest TEXT NOT NULL, -- SHA-256 of what is in it
  kind   TEXT NOT NULL,
  type   TEXT NOT NULL,
  size   BIGINT NOT NULL CHECK (size > 0),
  blob   TEXT NOT NULL UNIQUE, -- where it is kept, encrypted
  state  TEXT NOT NULL CHECK (state IN ('kept', 'quarantined')), -- quarantined: not looked at for malware yet, and given to nobody
  at     BIGINT NOT NULL,
  PRIMARY KEY (claim, digest)
);
CREATE INDEX documents_by_state ON documents (state, at);
