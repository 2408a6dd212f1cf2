package rejected

import (
	"context"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// States says what became of letters: ledger.Coordination.
type States interface {
	Letters(ctx context.Context, names []string) ([]ledger.LetterState, error)
}

// Shown is one letter and what became of it.
type Shown struct {
	*source.Letter
	ledger.LetterState
}

// List is what the dead-letter topic holds for a campaign.
type List struct {
	Letters int64                   // that the filter takes; each counts once, however often it is stored
	Reasons map[source.Reason]int64 // of them
	Foreign int64                   // records of other campaigns, or of no granter
	Last    []Shown                 // the last ones that were read, of each partition
}

// Read lists the letters of a campaign. Of each partition it returns the last few.
func Read(
	ctx context.Context, from Letters, states States, c *grant.Campaign, runs []grant.RunRecord, filter Filter, last int,
) (*List, error) {
	r := newReader(from, c, runs, filter)
	out := &List{Reasons: map[source.Reason]int64{}}
	kept := map[int][]letter{}
	var order []int
	err := r.each(ctx, func(l letter) error {
		out.Letters++
		out.Reasons[l.Reason]++
		if last <= 0 {
			return nil
		}
		list, ok := kept[l.Partition]
		if !ok {
			order = append(order, l.Partition)
		}
		kept[l.Partition] = append(list[max(0, len(list)+1-last):], l)
		return nil
	})
	out.Foreign = r.foreign
	if err != nil {
		return out, err
	}
	var letters []letter
	var names []string
	for _, partition := range order {
		letters = append(letters, kept[partition]...)
	}
	for i := range letters {
		names = append(names, letters[i].name)
	}
	found, err := states.Letters(ctx, names)
	if err != nil {
		return out, err
	}
	for i := range letters {
		out.Last = append(out.Last, Shown{letters[i].Letter, found[i]})
	}
	return out, nil
}
