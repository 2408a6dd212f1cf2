-- A document can be a version of another one for the council, in which what it must not see is blackened.

ALTER TABLE documents ADD COLUMN redacts TEXT NOT NULL DEFAULT ''; -- digest of the owner's document; empty: it is the owner's
