-- When nothing is decided or paid: the last line of a programme holds.

CREATE TABLE freezes (
  programme TEXT NOT NULL REFERENCES programmes (name),
  number    INTEGER NOT NULL CHECK (number > 0),
  at        BIGINT NOT NULL,
  who       TEXT NOT NULL CHECK (who <> ''),
  why       TEXT NOT NULL CHECK (why <> ''),
  frozen    INTEGER NOT NULL CHECK (frozen IN (0, 1)),
  until     BIGINT NOT NULL, -- 0: until somebody ends it
  PRIMARY KEY (programme, number)
);
