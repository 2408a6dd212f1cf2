-- An entry may be emptied of who and why, when a later entry of its claim says that this was purged; its hash stays. And a business
-- number may be taken from a claim with it.

CREATE FUNCTION history_emptied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.who = '-' AND NEW.reason = '' AND NEW.claim = OLD.claim AND NEW.seq = OLD.seq
    AND NEW.commit_number = OLD.commit_number AND NEW.position = OLD.position AND NEW.at = OLD.at AND NEW.duty = OLD.duty
    AND NEW.from_state = OLD.from_state AND NEW.action = OLD.action AND NEW.to_state = OLD.to_state
    AND NEW.prev = OLD.prev AND NEW.hash = OLD.hash THEN
    PERFORM 1 FROM history WHERE claim = OLD.claim AND seq > OLD.seq AND action = 'purge';
    IF FOUND THEN RETURN NEW; END IF;
  END IF;
  RAISE EXCEPTION 'history is only added to';
END $$;
DROP TRIGGER history_only_added ON history;
CREATE TRIGGER history_only_added BEFORE DELETE ON history
  FOR EACH ROW EXECUTE FUNCTION refuse('history is only added to');
CREATE TRIGGER history_only_emptied BEFORE UPDATE ON history FOR EACH ROW EXECUTE FUNCTION history_emptied();

DROP TRIGGER claims_stay_who_they_are ON claims;
CREATE TRIGGER claims_stay_who_they_are BEFORE UPDATE OF id, programme, rules, unit, received_at ON claims
  FOR EACH ROW WHEN (NOT (NEW.id = OLD.id AND NEW.programme = OLD.programme AND NEW.rules = OLD.rules
    AND NEW.received_at = OLD.received_at AND NEW.unit = 'purged:' || OLD.id))
  EXECUTE FUNCTION refuse('what a claim is about does not change');
