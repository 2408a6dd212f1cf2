package ledger

// Reader answers who has been granted and how far a campaign is, and proves that the ledger is whole. It belongs to no run
// and changes nothing, except that Inspect may try to write.
type Reader struct {
	*Store
	coordination *Coordination
}

// NewReader makes a reader of a store.
func NewReader(s *Store) *Reader { return &Reader{s, NewCoordination(s)} }
