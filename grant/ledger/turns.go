package ledger

import "context"

// pipelinesAtOnce is how many pipelines of chunk calls a process has under way. In each turn of its event loop
// Redis reads up to 48 KiB of every connection that has more, carries all of that out, and appends it to the file; only then
// come others. So whoever asks meanwhile waits for as many times 48 KiB as there are pipelines under way, however long those
// are: for two of them 12 calls, which take less than a millisecond; for the 16 that two processors' shards make, six. Two keep
// Redis busy: while one waits for its client, it works on the other.
const pipelinesAtOnce = 2

// turns bounds how much is under way at once. Those who wait have prepared what they send.
type turns chan struct{}

func newTurns() turns { return make(turns, pipelinesAtOnce) }

// take waits until it is the caller's turn, who gives it back.
func (t turns) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turns) giveBack() { <-t }
