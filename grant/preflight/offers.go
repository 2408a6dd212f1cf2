package preflight

import (
	"fmt"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// What a take costs in Redis: a bit, 6 bytes of time in a string of a size that Redis rounds up, and 2 bytes of an entry that
// many share; or an entry of its own, where users take one by one.
const (
	takenTogether = 9.5
	takenAlone    = 55
)

// takeMemory returns what a take costs in bytes, where many take an item in one call and where each does so alone. Where IDs are
// not dense, that is a field of a hash, with the member and 6 bytes of time (64 bytes of a number, 82 of a UUID or a string of
// 20), and the member in an entry: measured with used_memory of Redis 7.
func takeMemory(c *grant.Campaign) (together, alone float64) {
	if !c.Input.Opaque() {
		return takenTogether, takenAlone
	}
	form := userid.FormOf(&c.Input)
	field, member := 82.0, float64(form.Width())
	switch member {
	case 8:
		field = 64
	case 0:
		member = typicalString
	}
	return field + member, field + member + 28
}

// judgeOffers says what an operator should know of the items that users take.
func (j *judgement) judgeOffers() {
	const name = "campaign.offers"
	c := j.Campaign
	start, items := c.StartsAt, 0
	if j.redis.controlErr == nil {
		start = j.redis.control.Start(c)
	}
	var late, over, wide []string
	for i := range c.Items {
		item := &c.Items[i]
		if !item.Offered() {
			continue
		}
		items++
		switch until := item.TakeUntil; {
		case until.IsZero():
		case !start.Before(until):
			late = append(late, fmt.Sprintf("%s can be taken before %s, and the campaign starts at %s",
				item.ID, text.Moment(until), text.Moment(start)))
		case !j.now.Before(until):
			over = append(over, fmt.Sprintf("%s could be taken before %s", item.ID, text.Moment(until)))
		}
		if c.Population > 0 && item.First >= c.Population {
			wide = append(wide, fmt.Sprintf("the first %s can take %s, and the population is %s",
				text.Number(item.First), item.ID, text.Number(c.Population)))
		}
	}
	need := ""
	if users := max(c.Population, j.redis.totals.Granted); users > 0 {
		takes := float64(users) * float64(items)
		together, alone := takeMemory(c)
		need = "; if everybody takes everything: " +
			between([2]float64{takes * together, takes * alone}, memory[float64]) + " of Redis more"
	}
	switch {
	case items == 0:
	case len(late) > 0:
		j.fail(name, strings.Join(late, "; ")+": nobody could take it", "postpone it to an earlier moment (granter postpone)")
	case len(over) > 0:
		j.warn(name, strings.Join(over, "; ")+": who has not taken it gets it no more",
			"if that is wrong, offer it by another campaign: a campaign does not change")
	case len(wide) > 0:
		j.warn(name, strings.Join(wide, "; ")+": nobody is ever told that it is exhausted", "make sure that the quota is meant")
	default:
		j.pass(name, plural(int64(items), "item")+" that users take"+need)
	}
}
