CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0];
END $$;
CREATE TRIGGER history_only_added BEFORE UPDATE OR DELETE ON history
  FOR EACH ROW EXECUTE FUNCTION refuse('history is only added to');
CREATE TRIGGER history_no_truncate BEFORE TRUNCATE ON history
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('history is only added to');
CREATE TRIGGER commits_only_added BEFORE UPDATE OR DELETE ON commits
  FOR EACH ROW EXECUTE FUNCTION refuse('history is only added to');
CREATE TRIGGER commits_no_truncate BEFORE TRUNCATE ON commits
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('history is only added to');
CREATE TRIGGER claims_no_delete BEFORE DELETE ON claims
  FOR EACH ROW EXECUTE FUNCTION refuse('claims are not deleted');
CREATE TRIGGER claims_stay_who_they_are BEFORE UPDATE OF id, programme, rules, unit, received_at ON claims
  FOR EACH ROW EXECUTE FUNCTION refuse('what a claim is about does not change');

CREATE FUNCTION history_follows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.seq = 1 AND NEW.prev = '' AND NEW.from_state = 'draft' THEN RETURN NEW; END IF;
  PERFORM 1 FROM history WHERE claim = NEW.claim AND seq = NEW.seq - 1 AND hash = NEW.prev AND to_state = NEW.from_state;
  IF NOT FOUND THEN RAISE EXCEPTION 'an entry does not follow the one before it'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER history_follows BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION history_follows();

CREATE FUNCTION commits_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.number = 1 AND NEW.prev = '' THEN RETURN NEW; END IF;
  PERFORM 1 FROM commits WHERE number = NEW.number - 1 AND hash = NEW.prev;
  IF NOT FOUND THEN RAISE EXCEPTION 'a commit does not follow the one before it'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER commits_follow BEFORE INSERT ON commits FOR EACH ROW EXECUTE FUNCTION commits_follow();

CREATE FUNCTION claims_follow_history() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM 1 FROM history WHERE claim = NEW.id AND seq = NEW.seq AND to_state = NEW.state AND hash = NEW.head;
  IF NOT FOUND OR EXISTS (SELECT 1 FROM history WHERE claim = NEW.id AND seq = NEW.seq + 1) THEN
    RAISE EXCEPTION 'the state of a claim is not what history says';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER claims_begin_in_history BEFORE INSERT ON claims FOR EACH ROW EXECUTE FUNCTION claims_follow_history();
CREATE TRIGGER claims_follow_history BEFORE UPDATE OF state, seq, head ON claims
  FOR EACH ROW EXECUTE FUNCTION claims_follow_history();
