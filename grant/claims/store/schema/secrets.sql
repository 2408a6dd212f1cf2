-- By which chance says what is looked at again: a record of the programme has the digest, from before its first claim on.

CREATE TABLE secrets (
  programme TEXT PRIMARY KEY REFERENCES programmes (name),
  secret    TEXT NOT NULL CHECK (secret <> '')
);
