CREATE TRIGGER history_no_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
CREATE TRIGGER history_no_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
CREATE TRIGGER commits_no_update BEFORE UPDATE ON commits BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
CREATE TRIGGER commits_no_delete BEFORE DELETE ON commits BEGIN SELECT RAISE(ABORT, 'history is only added to'); END;
CREATE TRIGGER claims_no_delete BEFORE DELETE ON claims BEGIN SELECT RAISE(ABORT, 'claims are not deleted'); END;

CREATE TRIGGER history_follows BEFORE INSERT ON history
WHEN NOT (NEW.seq = 1 AND NEW.prev = '' AND NEW.from_state = 'draft' OR EXISTS (
  SELECT 1 FROM history WHERE claim = NEW.claim AND seq = NEW.seq - 1 AND hash = NEW.prev AND to_state = NEW.from_state))
BEGIN SELECT RAISE(ABORT, 'an entry does not follow the one before it'); END;

CREATE TRIGGER commits_follow BEFORE INSERT ON commits
WHEN NOT (NEW.number = 1 AND NEW.prev = '' OR EXISTS (
  SELECT 1 FROM commits WHERE number = NEW.number - 1 AND hash = NEW.prev))
BEGIN SELECT RAISE(ABORT, 'a commit does not follow the one before it'); END;

CREATE TRIGGER claims_begin_in_history BEFORE INSERT ON claims
WHEN NOT EXISTS (
  SELECT 1 FROM history WHERE claim = NEW.id AND seq = NEW.seq AND to_state = NEW.state AND hash = NEW.head)
BEGIN SELECT RAISE(ABORT, 'the state of a claim is not what history says'); END;

CREATE TRIGGER claims_follow_history BEFORE UPDATE OF state, seq, head ON claims
WHEN NOT EXISTS (
  SELECT 1 FROM history WHERE claim = NEW.id AND seq = NEW.seq AND to_state = NEW.state AND hash = NEW.head)
  OR EXISTS (SELECT 1 FROM history WHERE claim = NEW.id AND seq = NEW.seq + 1)
BEGIN SELECT RAISE(ABORT, 'the state of a claim is not what history says'); END;

CREATE TRIGGER claims_stay_who_they_are BEFORE UPDATE OF id, programme, rules, unit, received_at ON claims
BEGIN SELECT RAISE(ABORT, 'what a claim is about does not change'); END;
