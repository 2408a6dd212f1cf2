package ledger

// Coordination is what runs, operators and those who look on agree by: the spec, the records of runs, the orders, the audit
// trail, and the budget of a throttle.
type Coordination struct{ *Store }

// NewCoordination makes the coordination of a store's campaign.
func NewCoordination(s *Store) *Coordination { return &Coordination{s} }
