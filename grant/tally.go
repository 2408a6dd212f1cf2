package grant

// Tally counts records by outcome. At every checkpoint Consumed = Granted + Duplicate + Rejected + Withheld. A record
// that is read again, after a rebalance or a loss, counts again.
type Tally struct {
	Consumed  int64 `json:"consumed"`
	Granted   int64 `json:"granted"`
	Duplicate int64 `json:"duplicate"`
	Rejected  int64 `json:"rejected"`
	Withheld  int64 `json:"withheld"`
}

// Add returns the sum of two tallies.
func (t Tally) Add(o Tally) Tally {
	return Tally{
		t.Consumed + o.Consumed, t.Granted + o.Granted, t.Duplicate + o.Duplicate,
		t.Rejected + o.Rejected, t.Withheld + o.Withheld,
	}
}
