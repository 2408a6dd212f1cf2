-- What is checked of each row that is added is checked of all rows of a statement at once: a look-up for each row, in a query of its
-- own, took most of the time of taking claims in. Foreign keys are such look-ups, too: those of history, of owners and of marks are
-- conditions here. What they refer to is never deleted.
--
-- Plans are kept, and of a table that had no rows then one that reads all of it would be: so only look-ups are allowed.

DROP TRIGGER history_follows ON history;
DROP FUNCTION history_follows();
ALTER TABLE history DROP CONSTRAINT history_claim_fkey, DROP CONSTRAINT history_commit_number_fkey,
  DROP CONSTRAINT history_from_state_action_to_state_fkey;
CREATE FUNCTION history_follows() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$ BEGIN
  PERFORM 1 FROM fresh AS e WHERE NOT (e.seq = 1 AND e.prev = '' AND e.from_state = 'draft') AND NOT EXISTS (
    SELECT 1 FROM history AS h WHERE h.claim = e.claim AND h.seq = e.seq - 1 AND h.hash = e.prev AND h.to_state = e.from_state);
  IF FOUND THEN RAISE EXCEPTION 'an entry does not follow the one before it'; END IF;
  PERFORM 1 FROM (SELECT DISTINCT from_state, action, to_state FROM fresh) AS e WHERE NOT EXISTS (
    SELECT 1 FROM transitions AS t WHERE t.from_state = e.from_state AND t.action = e.action AND t.to_state = e.to_state);
  IF FOUND THEN RAISE EXCEPTION 'an entry is no step that the rules have'; END IF;
  PERFORM 1 FROM (SELECT DISTINCT commit_number FROM fresh) AS e WHERE NOT EXISTS (
    SELECT 1 FROM commits AS c WHERE c.number = e.commit_number AND c.xmin = pg_current_xact_id()::xid);
  IF FOUND THEN RAISE EXCEPTION 'an entry is added with its commit, in one transaction'; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER history_follows AFTER INSERT ON history REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION history_follows();
CREATE TRIGGER transitions_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON transitions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('history has steps by these rules');

CREATE FUNCTION commits_are_whole() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
  entries BIGINT;
  of_claims BIGINT;
  others BIGINT;
BEGIN
  SELECT COUNT(*), COUNT(c.id) INTO entries, of_claims FROM history AS h LEFT JOIN claims AS c ON c.id = h.claim
    WHERE h.commit_number = NEW.number;
  SELECT COUNT(*) INTO others FROM records AS r WHERE r.commit_number = NEW.number;
  IF entries <> of_claims THEN RAISE EXCEPTION 'an entry is of no claim'; END IF;
  IF entries + others <> NEW.entries THEN RAISE EXCEPTION 'a commit has not the entries that it says'; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER commits_are_whole AFTER INSERT ON commits DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION commits_are_whole();

DROP TRIGGER claims_begin_in_history ON claims;
DROP TRIGGER claims_follow_history ON claims;
DROP FUNCTION claims_follow_history();
CREATE FUNCTION claims_follow_history() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$ BEGIN
  PERFORM 1 FROM fresh AS c WHERE NOT EXISTS (
    SELECT 1 FROM history AS h WHERE h.claim = c.id AND h.seq = c.seq AND h.to_state = c.state AND h.hash = c.head);
  IF NOT FOUND THEN
    PERFORM 1 FROM fresh AS c JOIN history AS h ON h.claim = c.id AND h.seq = c.seq + 1;
  END IF;
  IF FOUND THEN RAISE EXCEPTION 'the state of a claim is not what history says'; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER claims_begin_in_history AFTER INSERT ON claims REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION claims_follow_history();
CREATE TRIGGER claims_follow_history AFTER UPDATE ON claims REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION claims_follow_history();
CREATE TRIGGER claims_no_truncate BEFORE TRUNCATE ON claims
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('claims are not deleted');

CREATE FUNCTION of_a_claim() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$ BEGIN
  PERFORM 1 FROM fresh AS f WHERE NOT EXISTS (SELECT 1 FROM claims AS c WHERE c.id = f.claim);
  IF FOUND THEN RAISE EXCEPTION '% of a claim that is not there', TG_TABLE_NAME; END IF;
  RETURN NULL;
END $$;
ALTER TABLE owners DROP CONSTRAINT owners_claim_fkey;
ALTER TABLE marks DROP CONSTRAINT marks_claim_fkey;
CREATE TRIGGER owners_of_claims AFTER INSERT ON owners REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION of_a_claim();
CREATE TRIGGER marks_of_claims AFTER INSERT ON marks REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION of_a_claim();
CREATE TRIGGER owners_stay BEFORE UPDATE OF claim ON owners
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('an owner does not change the claim');
CREATE TRIGGER marks_stay BEFORE UPDATE ON marks
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('marks do not change');
