
CREATE TRIGGER reads_no_delete BEFORE DELETE ON reads BEGIN SELECT RAISE(ABORT, 'the access log is only added to'); END;
CREATE TRIGGER reads_follow BEFORE INSERT ON reads
WHEN NOT (NEW.number = 1 AND NEW.prev = '' OR EXISTS (
  SELECT 1 FROM reads WHERE programme = NEW.programme AND number = NEW.number - 1 AND hash = NEW.prev))
BEGIN SELECT RAISE(ABORT, 'a line of the access log does not follow the one before it'); END;
CREATE TRIGGER reads_no_update BEFORE UPDATE ON reads
WHEN NOT (NEW.who = '-' AND NEW.origin = '' AND NEW.why = '' AND NEW.claims = '' AND NEW.programme = OLD.programme
  AND NEW.number = OLD.number AND NEW.at = OLD.at AND NEW.duty = OLD.duty AND NEW.what = OLD.what AND NEW.prev = OLD.prev
  AND NEW.hash = OLD.hash AND EXISTS (SELECT 1 FROM records WHERE programme = OLD.programme AND kind = 'purge'))
BEGIN SELECT RAISE(ABORT, 'the access log is only added to'); END;
