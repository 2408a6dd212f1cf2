package preflight

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/granter/granter/grant"
)

func TestATopicThatIsAnotherOneFails(t *testing.T) {
	t.Parallel()
	again := grant.TopicID{Cluster: "a-cluster", Topic: [16]byte{8}}
	const name = "kafka.identity"
	h := allWell(t)
	h.redis.checkpoint.Next = grant.Offsets{0: 400, 1: 400}
	h.kafka.committed = grant.Offsets{0: 400, 1: 400}
	assert.Contains(t, find(t, h.judge(), name).Detail, aTopic.String())

	h.kafka.identity, h.kafka.committed = again, grant.Offsets{} // compare has taken back what was committed for another one
	r := h.judge()
	wellFormed(t, r)
	assert.Equal(t, Fail, find(t, r, name).Status)
	for _, word := range []string{"a-cluster", aTopic.String()[10:], again.String()[10:], "--new-topic"} {
		assert.Contains(t, find(t, r, name).Detail, word)
	}
	assert.Contains(t, find(t, r, "campaign.progress").Detail, "0 users granted")
	assert.Contains(t, find(t, r, "campaign.progress").Detail, "800 records to read", "nothing of the old topic counts")
	h.in.NewTopic = true
	assert.Equal(t, Warn, find(t, h.judge(), name).Status)

	h = allWell(t)
	h.redis.checkpoint.Next = grant.Offsets{0: 400, 1: 400}
	h.kafka.committed = grant.Offsets{0: 400, 1: 400}
	h.kafka.intactErr = &grant.TruncatedError{Partition: 1, Offset: 400, Epoch: 3, EndEpoch: 2, End: 310}
	assert.Equal(t, Fail, find(t, h.judge(), name).Status)
	assert.Contains(t, find(t, h.judge(), name).Detail, "read to offset 400 in leader epoch 3, and now epoch 2 ends at offset 310")
	h.in.NewTopic = true
	assert.Equal(t, Warn, find(t, h.judge(), name).Status)
	assert.Contains(t, find(t, h.judge(), "campaign.progress").Detail, "800 records to read")

	h = allWell(t)
	h.kafka.identity = aTopic.Weaker()
	h.redis.checkpoint = grant.Checkpoint{}
	assert.Equal(t, Warn, find(t, h.judge(), name).Status)
	assert.Contains(t, find(t, h.judge(), name).Detail, "older than Kafka 2.8")
	h.kafka.identityErr = errors.New("no broker answers")
	assert.Equal(t, Fail, find(t, h.judge(), name).Status)
}
