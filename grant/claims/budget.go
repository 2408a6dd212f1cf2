package claims

// MostWon is the largest amount that anything may be: 9,000 claims of that size still sum up in 64 bits.
const MostWon Won = 1_000_000_000_000_000

// Rebudget refuses another budget than the one that there is now: one that is none, or one that takes back what was promised.
// The rules and their hash stay as they are.
func (p *Programme) Rebudget(now, next, promised Won) error {
	switch {
	case p.Budget == 0:
		return Illegal("programme %s has no budget, so none ends", p.Name)
	case next <= 0 || next > MostWon:
		return Illegal("%d won is no budget: want 1 to %d; granter claims freeze stops payment", next, MostWon)
	case next == now:
		return Illegal("the budget is %d won already", now)
	case next < now && next < promised:
		return Illegal("%d won are promised, and a budget is never lowered below that", promised)
	}
	return nil
}
