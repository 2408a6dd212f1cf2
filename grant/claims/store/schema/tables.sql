-- What is known of claims, the same on SQLite and PostgreSQL. Times are microseconds since 1970, amounts are won.
-- Current state may be computed again from history; personal data is in owners and marks only, so that it can be erased.

CREATE TABLE programmes (
  name     TEXT PRIMARY KEY,
  hash     TEXT NOT NULL,
  source   TEXT NOT NULL, -- the file, as it was written
  budget   BIGINT NOT NULL CHECK (budget >= 0), -- 0: none
  reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0), -- of payments that are under way
  settled  BIGINT NOT NULL DEFAULT 0 CHECK (settled >= 0),
  CHECK (budget = 0 OR reserved + settled <= budget),
  UNIQUE (name, hash) -- claims refer to both, so rules cannot change under them
);

CREATE TABLE transitions ( -- written by the program, from the one table of package claims
  from_state TEXT NOT NULL,
  action     TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  PRIMARY KEY (from_state, action, to_state)
);

CREATE TABLE commits ( -- the chain: nothing can be taken from its middle
  number  BIGINT PRIMARY KEY CHECK (number > 0),
  at      BIGINT NOT NULL,
  entries INTEGER NOT NULL CHECK (entries > 0),
  prev    TEXT NOT NULL UNIQUE,
  hash    TEXT NOT NULL UNIQUE
);

CREATE TABLE head ( -- the end of the chain, and the lock that writers queue for
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  number BIGINT NOT NULL,
  hash   TEXT NOT NULL
);
INSERT INTO head VALUES (1, 0, '');

CREATE TABLE claims (
  id          TEXT PRIMARY KEY,
  programme   TEXT NOT NULL,
  rules       TEXT NOT NULL,
  unit        TEXT NOT NULL, -- whoever may claim once
  channel     TEXT NOT NULL,
  entered_by  TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  industry    TEXT NOT NULL,
  state       TEXT NOT NULL,
  seq         INTEGER NOT NULL CHECK (seq > 0),
  head        TEXT NOT NULL,
  tier        INTEGER NOT NULL CHECK (tier >= 0),
  loss        BIGINT NOT NULL, -- that decides the tier; 0 before it is assessed
  owed        BIGINT NOT NULL CHECK (owed >= 0),
  changed_at  BIGINT NOT NULL,
  due         BIGINT NOT NULL DEFAULT 0, -- when the rules look at it next: no part of history
  tries       INTEGER NOT NULL DEFAULT 0,
  FOREIGN KEY (programme, rules) REFERENCES programmes (name, hash)
);
CREATE UNIQUE INDEX one_claim_for_a_unit ON claims (programme, unit) WHERE state <> 'withdrawn';
CREATE INDEX claims_by_state ON claims (state, due);
CREATE INDEX claims_by_industry ON claims (programme, industry, loss);

CREATE TABLE history (
  claim         TEXT NOT NULL REFERENCES claims (id) DEFERRABLE INITIALLY DEFERRED,
  seq           INTEGER NOT NULL CHECK (seq > 0),
  commit_number BIGINT NOT NULL REFERENCES commits (number) DEFERRABLE INITIALLY DEFERRED,
  position      INTEGER NOT NULL CHECK (position >= 0),
  at            BIGINT NOT NULL,
  who           TEXT NOT NULL CHECK (who <> ''),
  duty          TEXT NOT NULL,
  from_state    TEXT NOT NULL,
  action        TEXT NOT NULL,
  to_state      TEXT NOT NULL,
  reason        TEXT NOT NULL,
  body          TEXT NOT NULL, -- what changed, as JSON
  prev          TEXT NOT NULL,
  hash          TEXT NOT NULL,
  PRIMARY KEY (claim, seq),
  UNIQUE (commit_number, position),
  FOREIGN KEY (from_state, action, to_state) REFERENCES transitions (from_state, action, to_state)
);

CREATE TABLE owners ( -- a row is deleted to erase somebody; history keeps only the hash of salt and person
  claim  TEXT PRIMARY KEY REFERENCES claims (id),
  salt   TEXT NOT NULL,
  person TEXT NOT NULL
);

CREATE TABLE marks ( -- by which claims are found that share an account, a phone, an address, a document
  kind   TEXT NOT NULL,
  digest TEXT NOT NULL,
  claim  TEXT NOT NULL REFERENCES claims (id),
  PRIMARY KEY (kind, digest, claim)
);
CREATE INDEX marks_by_claim ON marks (claim);

CREATE TABLE offsets ( -- how far topics are taken in, committed with what was taken in
  topic     TEXT NOT NULL,
  part      INTEGER NOT NULL,
  following BIGINT NOT NULL CHECK (following >= 0), -- the first offset that is not
  PRIMARY KEY (topic, part)
);
