-- What owners reported before claims could be filed, imported from where that was taken. A report and the claims of its business are
-- linked by the business number alone, so either may come first. Who reported can be erased; the rest is only added to: the record of
-- the import has the end of the chain of its rows.

CREATE TABLE reports (
  programme   TEXT NOT NULL,
  number      TEXT NOT NULL CHECK (number <> ''), -- by which whoever reported knows it
  record      INTEGER NOT NULL, -- of the programme: the import that brought it
  place       INTEGER NOT NULL CHECK (place > 0), -- in that import
  unit        TEXT NOT NULL, -- empty: purged
  reported_at BIGINT NOT NULL,
  loss        BIGINT NOT NULL CHECK (loss >= 0), -- in won, as it was reported; no amount is computed of it
  contact     TEXT NOT NULL, -- hash of salt and person
  hash        TEXT NOT NULL, -- of all that, and of the row before it in the import
  salt        TEXT NOT NULL,
  person      TEXT NOT NULL, -- who reported; empty: erased
  gone        TEXT NOT NULL, -- by which claim's history or which record that was erased; empty: it is there
  PRIMARY KEY (programme, number),
  UNIQUE (record, place, programme),
  FOREIGN KEY (programme, record) REFERENCES records (programme, number) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX reports_by_unit ON reports (unit, programme);
