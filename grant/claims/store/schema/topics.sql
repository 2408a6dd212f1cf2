-- How far topics are taken in, committed with what was taken in; and what the offsets count in.

DROP TABLE offsets; -- which nothing has written to
CREATE TABLE offsets (
  topic     TEXT NOT NULL,
  part      INTEGER NOT NULL,
  identity  TEXT NOT NULL, -- of the topic: one that is made again begins anew
  following BIGINT NOT NULL CHECK (following >= 0), -- the first offset that is not taken in
  epoch     INTEGER NOT NULL, -- leader epoch of the last record before it; -1: not known
  PRIMARY KEY (topic, part)
);

ALTER TABLE payments ADD COLUMN asked_at BIGINT NOT NULL DEFAULT 0; -- when the bank was asked about it last
