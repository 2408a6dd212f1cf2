-- Who has read what of whose claims, from where and why: a line for each answer, added before it is given.

CREATE TABLE reads (
  programme TEXT NOT NULL REFERENCES programmes (name),
  number    BIGINT NOT NULL CHECK (number > 0),
  at        BIGINT NOT NULL,
  who       TEXT NOT NULL CHECK (who <> ''),
  duty      TEXT NOT NULL, -- empty: an auditor
  origin    TEXT NOT NULL, -- the address that asked
  what      TEXT NOT NULL CHECK (what <> ''),
  why       TEXT NOT NULL,
  claims    TEXT NOT NULL, -- their numbers, with a space before and behind each
  prev      TEXT NOT NULL,
  hash      TEXT NOT NULL,
  PRIMARY KEY (programme, number)
);
CREATE INDEX reads_by_time ON reads (at);
