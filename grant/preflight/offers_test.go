package preflight

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/granter/granter/grant"
)

// Operators are told of offers that nobody can take, and of quotas that are none; and what takes need.
func TestOffersAreJudged(t *testing.T) {
	t.Parallel()
	now := allWell(t).in.now
	end := now.Add(time.Hour)
	for name, c := range map[string]struct {
		item           grant.Item
		control        grant.Control
		status         Status
		detail, advice string
	}{
		"one without an end": {
			grant.Item{}, grant.Control{}, Pass,
			"1 item that users take; if everybody takes everything: ", "",
		},
		"one in time": {
			grant.Item{TakeUntil: end}, grant.Control{}, Pass,
			"1 item that users take", "",
		},
		"postponed beyond it": {
			grant.Item{TakeUntil: end}, grant.Control{StartsAt: &end}, Fail,
			"nobody could take it", "granter postpone",
		},
		"one that is over": {
			grant.Item{TakeUntil: now}, grant.Control{}, Warn,
			"later could be taken before", "another campaign",
		},
		"a quota for everybody": {
			grant.Item{First: 1e12}, grant.Control{}, Warn,
			"nobody is ever told that it is exhausted", "quota",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := allWell(t)
			item, with := c.item, *h.in.Campaign
			item.ID, item.Validity.Taken = "later", true
			with.Items = append([]grant.Item{item}, with.Items...)
			h.in.Campaign, h.redis.control = &with, c.control
			result := find(t, h.judge(), "campaign.offers")
			assert.Equal(t, c.status, result.Status, result.Detail)
			assert.Contains(t, result.Detail, c.detail)
			assert.Contains(t, result.Advice, c.advice)
		})
	}
	for _, result := range allWell(t).judge().Results {
		assert.NotEqual(t, "campaign.offers", result.Name, "where nothing is offered")
	}
}
