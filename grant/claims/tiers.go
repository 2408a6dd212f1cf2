package claims

import (
	"fmt"
	"strings"
)

// Tiers says what is paid.
type Tiers struct {
	Basis Basis  `json:"basis"`
	Table []Tier `json:"table"` // ascending; the last has no upper end
}

// Basis is the amount that decides the tier.
type Basis string

// The bases of tiers. The announcement of 2022 tiers sales losses.
const (
	SalesLoss    Basis = "sales_loss"
	AssessedLoss Basis = "assessed_loss"
)

// Tier is one row of the table: losses above the row before, up to its own end.
type Tier struct {
	End       Won      `json:"end"`                 // upper end; the last tier has none
	Inclusive bool     `json:"inclusive"`           // the end belongs to this tier, not to the next one
	Open      bool     `json:"open"`                // it is the last one
	Pay       Won      `json:"pay"`                 // 0: Review
	Review    bool     `json:"review"`              // people decide the amount
	Documents []string `json:"documents,omitempty"` // that the owner must send
}

func (t *Tiers) basis(a *Assessment) Won {
	if t.Basis == AssessedLoss {
		return a.Assessed
	}
	return a.SalesLoss
}

// of returns the tier of a loss above 0.
func (t *Tiers) of(loss Won) int {
	for i := range t.Table {
		if row := &t.Table[i]; row.Open || loss < row.End || row.Inclusive && loss == row.End {
			return i
		}
	}
	return len(t.Table) - 1
}

// says explains a row for a loss.
func (t *Tiers) says(i int, loss Won) string {
	row := &t.Table[i]
	paid := fmt.Sprintf("is paid %d won", row.Pay)
	if row.Review {
		paid = "is reviewed"
	}
	return fmt.Sprintf("a %s of %d won (%s) %s",
		t.Basis, loss, t.Span(i, func(w Won) string { return fmt.Sprint(int64(w)) }), paid)
}

// Span says which losses belong to a row.
func (t *Tiers) Span(i int, show func(Won) string) string {
	var parts []string
	if i > 0 {
		from := "from "
		if t.Table[i-1].Inclusive {
			from = "above "
		}
		parts = append(parts, from+show(t.Table[i-1].End))
	}
	if row := &t.Table[i]; !row.Open {
		to := "below "
		if row.Inclusive {
			to = "up to "
		}
		parts = append(parts, to+show(row.End))
	}
	if len(parts) == 0 {
		return "any loss"
	}
	return strings.Join(parts, " and ")
}
