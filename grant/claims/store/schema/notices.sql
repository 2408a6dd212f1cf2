-- What owners are told of, once for each event: made from history by whoever moves the cursor, sent by whoever comes first.

CREATE TABLE notices (
  id      TEXT PRIMARY KEY, -- of the event, so none is made twice
  claim   TEXT NOT NULL REFERENCES claims (id),
  kind    TEXT NOT NULL,
  seq     INTEGER NOT NULL, -- the entry of history that it is about
  person  TEXT NOT NULL, -- who is told, where that is not whom the claim has now
  state   TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'nowhere', 'failed', 'dropped')),
  tries   INTEGER NOT NULL,
  due     BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  says    TEXT NOT NULL -- why it was not sent
);
CREATE INDEX notices_by_state ON notices (state, due);
CREATE INDEX notices_by_claim ON notices (claim);

CREATE TABLE told ( -- up to which commit notices were made; what was before there were any is not told
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  number BIGINT NOT NULL
);
INSERT INTO told SELECT 1, number FROM head;
