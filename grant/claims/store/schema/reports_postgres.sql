
CREATE TRIGGER reports_no_delete BEFORE DELETE ON reports
  FOR EACH ROW EXECUTE FUNCTION refuse('earlier reports are only added to');
CREATE TRIGGER reports_no_truncate BEFORE TRUNCATE ON reports
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('earlier reports are only added to');
CREATE FUNCTION reports_emptied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.programme = OLD.programme AND NEW.number = OLD.number AND NEW.record = OLD.record AND NEW.place = OLD.place
    AND NEW.reported_at = OLD.reported_at AND NEW.hash = OLD.hash AND NEW.salt = '' AND NEW.person = '' AND NEW.gone <> '' THEN
    IF OLD.gone = '' AND NEW.unit = OLD.unit AND NEW.loss = OLD.loss AND NEW.contact = OLD.contact THEN RETURN NEW; END IF;
    IF NEW.unit = '' AND NEW.loss = 0 AND NEW.contact = '' THEN
      PERFORM 1 FROM records WHERE programme = OLD.programme AND kind = 'purge';
      IF FOUND THEN RETURN NEW; END IF;
    END IF;
  END IF;
  RAISE EXCEPTION 'earlier reports are only added to';
END $$;
CREATE TRIGGER reports_only_emptied BEFORE UPDATE ON reports FOR EACH ROW EXECUTE FUNCTION reports_emptied();

-- A notice is about a claim, or reminds whoever reported of handing one in.
ALTER TABLE notices ALTER COLUMN claim DROP NOT NULL, ADD COLUMN programme TEXT, ADD COLUMN report TEXT,
  ADD FOREIGN KEY (programme, report) REFERENCES reports (programme, number),
  ADD CHECK ((claim IS NULL) <> (report IS NULL) AND (programme IS NULL) = (report IS NULL));
CREATE INDEX notices_by_report ON notices (report, programme);
