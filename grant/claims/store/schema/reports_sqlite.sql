
CREATE TRIGGER reports_no_delete BEFORE DELETE ON reports
BEGIN SELECT RAISE(ABORT, 'earlier reports are only added to'); END;
CREATE TRIGGER reports_only_emptied BEFORE UPDATE ON reports
WHEN NOT (NEW.programme = OLD.programme AND NEW.number = OLD.number AND NEW.record = OLD.record AND NEW.place = OLD.place
  AND NEW.reported_at = OLD.reported_at AND NEW.hash = OLD.hash AND NEW.salt = '' AND NEW.person = '' AND NEW.gone <> ''
  AND (OLD.gone = '' AND NEW.unit = OLD.unit AND NEW.loss = OLD.loss AND NEW.contact = OLD.contact
    OR NEW.unit = '' AND NEW.loss = 0 AND NEW.contact = ''
    AND EXISTS (SELECT 1 FROM records WHERE programme = OLD.programme AND kind = 'purge')))
BEGIN SELECT RAISE(ABORT, 'earlier reports are only added to'); END;

-- A notice is about a claim, or reminds whoever reported of handing one in.
CREATE TABLE notices_of_both (
  id        TEXT PRIMARY KEY, -- of the event, so none is made twice
  claim     TEXT REFERENCES claims (id),
  kind      TEXT NOT NULL,
  seq       INTEGER NOT NULL, -- the entry of history that it is about; of a reminder, the record of the programme
  person    TEXT NOT NULL, -- who is told, where that is not whom the claim has now
  state     TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'nowhere', 'failed', 'dropped')),
  tries     INTEGER NOT NULL,
  due       BIGINT NOT NULL,
  changed   BIGINT NOT NULL,
  says      TEXT NOT NULL, -- why it was not sent
  programme TEXT,
  report    TEXT,
  FOREIGN KEY (programme, report) REFERENCES reports (programme, number),
  CHECK ((claim IS NULL) <> (report IS NULL) AND (programme IS NULL) = (report IS NULL))
);
INSERT INTO notices_of_both SELECT id, claim, kind, seq, person, state, tries, due, changed, says, NULL, NULL FROM notices;
DROP TABLE notices;
ALTER TABLE notices_of_both RENAME TO notices;
CREATE INDEX notices_by_state ON notices (state, due);
CREATE INDEX notices_by_claim ON notices (claim);
CREATE INDEX notices_by_report ON notices (report, programme);
