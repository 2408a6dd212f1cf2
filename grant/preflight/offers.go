package preflight

import (
	"fmt"
	"strings"

	"github.com/granter/granter/grant/text"
)

// What a take costs in Redis: a bit, 6 bytes of time in a string of a size that Redis rounds up, and 2 bytes of an entry that
// many share; or an entry of its own, where users take one by one.
const (
	takenTogether = 9.5
	takenAlone    = 55
)

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
		need = "; if everybody takes everything: " +
			between([2]float64{takes * takenTogether, takes * takenAlone}, memory[float64]) + " of Redis more"
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
