-- An entry may be emptied of who and why, when a later entry of its claim says that this was purged; its hash stays. And a business
-- number may be taken from a claim with it.

DROP TRIGGER history_no_update;
CREATE TRIGGER history_no_update BEFORE UPDATE ON history
WHEN NOT (NEW.who = '-' AND NEW.reason = '' AND NEW.claim = OLD.claim AND NEW.seq = OLD.seq
  AND NEW.commit_number = OLD.commit_number AND NEW.position = OLD.position AND NEW.at = OLD.at AND NEW.duty = OLD.duty
  AND NEW.from_state = OLD.from_state AND NEW.action = OLD.action AND NEW.to_state = OLD.to_state
  AND NEW.prev = OLD.prev AND NEW.hash = OLD.hash
  AND EXISTS (SELECT 1 FROM history WHERE claim = OLD.claim AND seq > OLD.seq AND action = 'purge'))
BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;

DROP TRIGGER claims_stay_who_they_are;
CREATE TRIGGER claims_stay_who_they_are BEFORE UPDATE OF id, programme, rules, unit, received_at ON claims
WHEN NOT (NEW.id = OLD.id AND NEW.programme = OLD.programme AND NEW.rules = OLD.rules AND NEW.received_at = OLD.received_at
  AND NEW.unit = 'purged:' || OLD.id)
BEGIN SELECT RAISE(ABORT, 'what a claim is about does not change'); END;
