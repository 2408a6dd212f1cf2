-- Who sees to a claim, for queues; history says it. Empty: whoever comes first.

ALTER TABLE claims ADD COLUMN assigned TEXT NOT NULL DEFAULT '';
