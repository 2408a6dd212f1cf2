// Package preflight answers, before anything is granted, whether a run would come to its end: it asks Kafka, a sample of
// the topic, Redis and the ledger, says what it found, and for everything that is wrong, what to do. It changes nothing but,
// for a moment, keys of its own.
package preflight

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// Status is the outcome of one check.
type Status string

// The statuses.
const (
	Pass Status = "pass"
	Warn Status = "warn" // a run works, but something can go wrong later, or is not known
	Fail Status = "fail" // a run would stop, or lose something
)

// Result is the outcome of one check.
type Result struct {
	Name   string `json:"name"` // stable, for programs: area.check
	Status Status `json:"status"`
	Detail string `json:"detail"`           // what was found
	Advice string `json:"advice,omitempty"` // what to do next; never empty for Warn and Fail
}

// Report holds the results in the order of the areas: kafka, sample, redis, campaign.
type Report struct {
	Results []Result
	// ProjectedBytes is what the fullest Redis master will use when everybody is granted, at most, as far as a sample can
	// tell; 0: not known.
	ProjectedBytes int64
}

// Failed reports whether any check failed.
func (r Report) Failed() bool { return r.Count(Fail) > 0 }

// Count returns how many results have a status.
func (r Report) Count(s Status) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Status == s {
			n++
		}
	}
	return n
}

// Input is what to check. Campaign, Pass, Kafka and Redis are required.
type Input struct {
	Campaign *grant.Campaign
	Pass     grant.Pass // that is to be run
	Kafka    source.Kafka
	Redis    redis.UniversalClient // as ledger.Connect makes it; it stays the caller's
	// Folder is where the files of the spec's lists are seen from: that of the spec.
	Folder string
	// AllowVolatile accepts a Redis that loses everything when it restarts.
	AllowVolatile bool
	// NewTopic accepts that the topic is another one than the checkpoint's: a run begins anew at its first record.
	NewTopic bool
	// ReadOnly leaves out the trial of what granting does: nothing at all is written.
	ReadOnly bool
	// Timeout is how long an unreachable server is waited for. Default 10 s.
	Timeout time.Duration

	now time.Time
}

// limit bounds a whole check: the time-out of a server, and what healthy ones need besides.
const limit = 14 * time.Second

// Check runs all checks and returns their results. It takes about 0.2 s with healthy servers nearby, Timeout when one
// does not answer, and never more than 14 s. What depends on a server that does not answer is not checked; the server's
// own result says so.
func Check(ctx context.Context, in Input) Report {
	if in.Timeout <= 0 {
		in.Timeout = 10 * time.Second
	}
	if in.now.IsZero() {
		in.now = time.Now()
	}
	in.Kafka.Timeout = min(in.Timeout, limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("preflight took too long"))
	defer cancel()

	var k kafkaFacts
	var r redisFacts
	var l listFacts
	var work sync.WaitGroup
	work.Go(func() { k.gather(ctx, &in) })
	work.Go(func() { r.gather(ctx, &in) })
	work.Go(func() { l.gather(ctx, &in) })
	work.Wait()
	k.compare(ctx, &in, &r.checkpoint)
	return judge(&in, &k, &r, &l)
}

// judge draws the conclusions. All that it knows is in its arguments.
func judge(in *Input, k *kafkaFacts, r *redisFacts, l *listFacts) Report {
	j := judgement{Input: in, kafka: k, redis: r, lists: l}
	j.judgeKafka()
	j.judgeSample()
	j.judgeRedis()
	j.judgeCampaign()
	return Report{Results: j.results, ProjectedBytes: int64(j.projected)}
}

type judgement struct {
	*Input
	kafka   *kafkaFacts
	redis   *redisFacts
	lists   *listFacts
	results []Result
	demand  *demand // nil: unknown

	projected float64 // memory of the fullest master in the end; 0: unknown
}

func (j *judgement) pass(name, detail string) {
	j.results = append(j.results, Result{Name: name, Status: Pass, Detail: detail})
}

func (j *judgement) warn(name, detail, advice string) {
	j.results = append(j.results, Result{Name: name, Status: Warn, Detail: detail, Advice: advice})
}

func (j *judgement) fail(name, detail, advice string) {
	j.results = append(j.results, Result{Name: name, Status: Fail, Detail: detail, Advice: advice})
}

// start is where the pass would begin. nil: the ledger does not answer.
func (j *judgement) start() *grant.Start {
	if j.redis.err != nil || j.redis.checkpointErr != nil {
		return nil
	}
	var committed grant.Offsets // nil: not known
	if j.kafka.committedErr == nil {
		committed = grant.Offsets{}
		for partition := range j.kafka.bounds.Ends {
			committed[partition] = -1
		}
		maps.Copy(committed, j.kafka.committed)
	}
	start := j.Pass.Start(j.trusted().Next, committed, j.kafka.bounds)
	return &start
}

// trusted is the checkpoint, as far as it is of the topic that Kafka has.
func (j *judgement) trusted() grant.Checkpoint {
	if j.NewTopic && j.kafka.intactErr != nil {
		return grant.Checkpoint{Topic: j.kafka.identity}
	}
	if j.kafka.identityErr != nil {
		return j.redis.checkpoint
	}
	return j.redis.checkpoint.Of(j.kafka.identity)
}

// coordination is what a check asks of what runs and operators agree by. None of it is tried again for long.
type coordination interface {
	Spec(ctx context.Context) (ledger.StoredSpec, bool, error)
	Runs(ctx context.Context) ([]grant.RunRecord, error)
	Control(ctx context.Context) (grant.Control, time.Time, error)
}

// reader is what a check asks about Redis and the users who are granted. None of it is tried again for long.
type reader interface {
	Inspect(ctx context.Context, probe bool) (ledger.Facts, error)
	Checkpoints(ctx context.Context, spec *grant.Campaign) (grant.Checkpoint, error)
	Totals(ctx context.Context) (ledger.Totals, error)
	Permits(ctx context.Context, c *grant.Campaign) error
	Unlisted(ctx context.Context) ([]uint64, error)
}
