
CREATE TRIGGER reads_only_added BEFORE DELETE ON reads
  FOR EACH ROW EXECUTE FUNCTION refuse('the access log is only added to');
CREATE TRIGGER reads_no_truncate BEFORE TRUNCATE ON reads
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('the access log is only added to');
CREATE FUNCTION reads_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.number = 1 AND NEW.prev = '' THEN RETURN NEW; END IF;
  PERFORM 1 FROM reads WHERE programme = NEW.programme AND number = NEW.number - 1 AND hash = NEW.prev;
  IF NOT FOUND THEN RAISE EXCEPTION 'a line of the access log does not follow the one before it'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER reads_follow BEFORE INSERT ON reads FOR EACH ROW EXECUTE FUNCTION reads_follow();
CREATE FUNCTION reads_emptied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.who = '-' AND NEW.origin = '' AND NEW.why = '' AND NEW.claims = '' AND NEW.programme = OLD.programme
    AND NEW.number = OLD.number AND NEW.at = OLD.at AND NEW.duty = OLD.duty AND NEW.what = OLD.what AND NEW.prev = OLD.prev
    AND NEW.hash = OLD.hash THEN
    PERFORM 1 FROM records WHERE programme = OLD.programme AND kind = 'purge';
    IF FOUND THEN RETURN NEW; END IF;
  END IF;
  RAISE EXCEPTION 'the access log is only added to';
END $$;
CREATE TRIGGER reads_only_emptied BEFORE UPDATE ON reads FOR EACH ROW EXECUTE FUNCTION reads_emptied();
