-- Forms of the pages of staff that were done, so that one that comes twice is done once. It is no part of history, and is kept
-- for as long as somebody may send a form again.

CREATE TABLE forms (
  digest TEXT PRIMARY KEY CHECK (digest <> ''),
  at     BIGINT NOT NULL -- microseconds since 1970
);
CREATE INDEX forms_by_time ON forms (at);
