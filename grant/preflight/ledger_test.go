package preflight

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/granter/granter/grant"
)

func TestALedgerThatContradictsItselfIsNamed(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.redis.checkpoint = grant.Checkpoint{Next: grant.Offsets{0: 400}}
	h.redis.runs = []grant.RunRecord{{Spec: h.in.Campaign.Hash, Tally: grant.Tally{Granted: 7}}}
	r := h.judge()
	wellFormed(t, r)
	result := find(t, r, "campaign.progress")
	assert.Equal(t, Fail, result.Status)
	assert.Contains(t, result.Detail, "nobody is granted, but the checkpoint is at offset 400, and runs say that they granted 7 users")

	h.redis.unlisted = []uint64{3, 4}
	r = h.judge()
	wellFormed(t, r)
	result = find(t, r, "campaign.progress")
	assert.Equal(t, Warn, result.Status, "the run repairs it")
	assert.Contains(t, result.Detail, "lacks 2 chunks, such as 3")
}
