package grant

// Exclude is a list of users who do not get a campaign, as its spec names it: a file or a topic, with a reason for each user.
// Who is on it is no part of the spec, and is read at each start.
type Exclude struct {
	File   string // CSV, seen from the folder of the spec; empty: it is a topic
	Topic  string
	Reason string // of users for whom the list has none; empty: it has one for each
}

// Name says which list it is.
func (e *Exclude) Name() string {
	if e.File != "" {
		return e.File
	}
	return "topic " + e.Topic
}
