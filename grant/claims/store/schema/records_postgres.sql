
CREATE TRIGGER records_only_added BEFORE UPDATE OR DELETE ON records
  FOR EACH ROW EXECUTE FUNCTION refuse('history is only added to');
CREATE TRIGGER records_no_truncate BEFORE TRUNCATE ON records
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('history is only added to');
CREATE FUNCTION records_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.number = 1 AND NEW.prev = '' THEN RETURN NEW; END IF;
  PERFORM 1 FROM records WHERE programme = NEW.programme AND number = NEW.number - 1 AND hash = NEW.prev;
  IF NOT FOUND THEN RAISE EXCEPTION 'a record does not follow the one before it'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER records_follow BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION records_follow();
