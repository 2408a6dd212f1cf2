
CREATE TRIGGER records_no_update BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
CREATE TRIGGER records_no_delete BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
CREATE TRIGGER records_follow BEFORE INSERT ON records
WHEN NOT (NEW.number = 1 AND NEW.prev = '' OR EXISTS (
  SELECT 1 FROM records WHERE programme = NEW.programme AND number = NEW.number - 1 AND hash = NEW.prev))
BEGIN SELECT RAISE(ABORT, 'a record does not follow the one before it'); END;
