-- No index but one_claim_for_a_unit begins with the programme: it is the same of all claims, and a planner that has no statistics yet
-- takes an index of it for a good way to find a business, which reads every claim.

DROP INDEX claims_by_industry;
CREATE INDEX claims_by_industry ON claims (industry, programme, loss);

-- Orders are handed over by their numbers, some at a time, and asked about by how long they are sent.
DROP INDEX payments_by_state;
CREATE INDEX payments_by_state ON payments (state, id);
CREATE INDEX payments_by_age ON payments (state, changed_at);
