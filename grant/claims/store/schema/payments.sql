-- Money. Amounts are won: what is owed before tax is gross.

CREATE TABLE runs (
  id        TEXT PRIMARY KEY,
  programme TEXT NOT NULL REFERENCES programmes (name),
  at        BIGINT NOT NULL,
  who       TEXT NOT NULL,
  payments  INTEGER NOT NULL CHECK (payments > 0),
  gross     BIGINT NOT NULL CHECK (gross > 0)
);

CREATE TABLE payments (
  id         TEXT PRIMARY KEY, -- computed from what it is for, so it cannot be made twice
  claim      TEXT NOT NULL REFERENCES claims (id),
  decision   INTEGER NOT NULL CHECK (decision > 0), -- the entry of history that says it is owed
  attempt    INTEGER NOT NULL CHECK (attempt > 0),
  run        TEXT NOT NULL REFERENCES runs (id),
  gross      BIGINT NOT NULL CHECK (gross > 0),
  withheld   BIGINT NOT NULL CHECK (withheld >= 0),
  net        BIGINT NOT NULL CHECK (net > 0),
  came       BIGINT NOT NULL DEFAULT 0 CHECK (came >= 0 AND came <= net), -- that the bank says it has paid
  state      TEXT NOT NULL CHECK (state IN ('declared', 'sent', 'settled', 'returned')),
  doubt      TEXT NOT NULL DEFAULT '', -- what the bank says that does not fit
  changed_at BIGINT NOT NULL,
  CHECK (gross = withheld + net),
  CHECK (state <> 'settled' OR came = net),
  UNIQUE (claim, decision, attempt)
);
-- Nobody is paid twice: for a decision there is one payment that the bank has not given back.
CREATE UNIQUE INDEX one_payment_of_a_decision ON payments (claim, decision) WHERE state <> 'returned';
CREATE INDEX payments_by_state ON payments (state, run);

CREATE TABLE answers ( -- each is taken once
  id      TEXT PRIMARY KEY, -- the bank's reference
  payment TEXT NOT NULL,
  status  TEXT NOT NULL,
  amount  BIGINT NOT NULL,
  why     TEXT NOT NULL,
  effect  TEXT NOT NULL,
  at      BIGINT NOT NULL
);
