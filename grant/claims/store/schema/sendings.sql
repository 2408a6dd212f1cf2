-- How often an order was handed to the bank: by that number it is asked about one of them, and what it says of an earlier one is old.

ALTER TABLE payments ADD COLUMN sendings INTEGER NOT NULL DEFAULT 0;
UPDATE payments SET sendings = 1 WHERE state <> 'declared'
  OR EXISTS (SELECT 1 FROM answers WHERE answers.payment = payments.id AND answers.status = 'not_found');
