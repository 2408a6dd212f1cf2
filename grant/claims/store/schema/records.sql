-- What is done to a programme beside its rules, such as a window that is extended. Each is part of a commit, as entries of claims
-- are, so the one chain covers both.

CREATE TABLE records (
  programme     TEXT NOT NULL REFERENCES programmes (name),
  number        INTEGER NOT NULL CHECK (number > 0),
  commit_number BIGINT NOT NULL REFERENCES commits (number) DEFERRABLE INITIALLY DEFERRED,
  position      INTEGER NOT NULL CHECK (position >= 0), -- behind the commit's entries
  at            BIGINT NOT NULL,
  who           TEXT NOT NULL CHECK (who <> ''),
  duty          TEXT NOT NULL,
  kind          TEXT NOT NULL,
  why           TEXT NOT NULL CHECK (why <> ''),
  body          TEXT NOT NULL, -- what changed, as JSON
  prev          TEXT NOT NULL,
  hash          TEXT NOT NULL,
  PRIMARY KEY (programme, number),
  UNIQUE (commit_number, position)
);
