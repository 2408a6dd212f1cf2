package grant

// ReplayPass is what the record of a run says that replays rejected records.
const ReplayPass = "replay of rejected records"

// Replays counts the rejected records that were repaired and replayed.
type Replays struct {
	Granted   int64 `json:"granted"`   // their users were granted by it
	Duplicate int64 `json:"duplicate"` // their users had been granted, or excluded, before
}
