package ledger

import (
	"context"
	"encoding/json"

	"github.com/granter/granter/grant"
)

// How many refused orders are kept. Whoever may not order anything must not be able to fill Redis, nor push out of the
// audit trail what others were refused: nobody has more than a hundred, and beyond a thousand those go first who have most.
const (
	maxRefusals   = 1000
	maxRefusalsOf = 100
	trimEvery     = 50 // refusals, so that a flood of them does not read the list each time
)

// Refuse adds an order that was refused to the audit trail.
func (l *Coordination) Refuse(ctx context.Context, entry grant.HistoryEntry) error {
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	var n int64
	err = l.retry(ctx, "recording a refused order", func() (err error) {
		n, err = l.client.RPush(ctx, l.keys.refusals, text).Result()
		return err
	})
	if err != nil || n%trimEvery != 0 {
		return err
	}
	return l.retry(ctx, "trimming the refused orders", func() error {
		list, err := l.client.LRange(ctx, l.keys.refusals, 0, -1).Result()
		if err != nil {
			return err
		}
		pipe := l.client.Pipeline()
		for _, text := range surplus(list) {
			pipe.LRem(ctx, l.keys.refusals, 1, text) // two who trim at once remove the same
		}
		_, err = pipe.Exec(ctx)
		return err
	})
}

// surplus returns which refused orders are not kept, of a list with the oldest first. What cannot be read has one principal.
func surplus(list []string) []string {
	of := make([]string, len(list))
	count := map[string]int{}
	for i, text := range list {
		var entry grant.HistoryEntry
		_ = json.Unmarshal([]byte(text), &entry) // History says that it cannot be read
		of[i] = entry.Who
		count[entry.Who]++
	}
	limit, total := map[string]int{}, 0
	for who, n := range count {
		limit[who] = min(n, maxRefusalsOf)
		total += limit[who]
	}
	for ; total > maxRefusals; total-- {
		most := ""
		for who, n := range limit {
			if n > limit[most] || n == limit[most] && who < most {
				most = who
			}
		}
		limit[most]--
	}
	var out []string
	for i, who := range of {
		if count[who] > limit[who] {
			count[who]--
			out = append(out, list[i])
		}
	}
	return out
}
