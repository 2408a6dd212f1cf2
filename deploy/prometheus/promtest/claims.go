package promtest

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/metrics"
)

// Claims exports every metric that the processes of damage claims do, together, but does nothing.
type Claims struct {
	*prometheus.Registry

	Topic           *metrics.ClaimsTopic
	Offered, Errors *prometheus.CounterVec
	Checks          *metrics.ClaimsChecks
	Watch           *metrics.ClaimsWatch

	seen metrics.Claims
}

// NewClaims exports what the processes of a programme do.
func NewClaims(programme string) *Claims {
	c := &Claims{Registry: prometheus.NewRegistry()}
	c.Topic = metrics.NewClaimsTopic(c, programme, "claims", texts(intake.TopicReasons()))
	c.Offered = metrics.NewClaimsOffered(c, programme, []string{intake.ChannelPage, intake.ChannelAPI, intake.ChannelStaff},
		texts(intake.Outcomes()))
	c.Errors = metrics.NewClaimsErrors(c, programme, "v1.2.3", texts(store.ErrorKinds()))
	c.Checks = metrics.NewClaimsChecks(c, programme, "tax_office", "bank")
	metrics.NewClaimsFiles(c, programme)
	kinds := store.Kinds()
	steps := make([]metrics.ClaimsStep, len(kinds))
	for i, k := range kinds {
		steps[i] = metrics.ClaimsStep{Action: string(k.Action), Duty: string(k.Duty)}
	}
	payments := []string{"declared", "sent", "settled", "returned"}
	c.Watch = metrics.NewClaimsWatch(c, programme, texts(claims.States()), append([]string{"promised", "owed"}, payments...),
		payments, texts(store.NoticeStates()), steps)
	c.GoOn()
	return c
}

// GoOn has a bit of everything happen.
func (c *Claims) GoOn() {
	m := &c.seen
	if m.Channels == nil {
		*m = metrics.Claims{
			Channels: map[string]int64{}, States: map[string]metrics.ClaimsState{}, Steps: map[metrics.ClaimsStep]int64{},
			Budget: 5e9, Left: 4e9, Took: time.Second,
		}
	}
	m.At = time.Now()
	m.Channels["topic"] += 10
	for _, s := range claims.States() {
		m.States[string(s)] = metrics.ClaimsState{Claims: 3, Late: 1, Oldest: time.Hour / 2}
	}
	for _, k := range store.Kinds() {
		m.Steps[metrics.ClaimsStep{Action: string(k.Action), Duty: string(k.Duty)}]++
	}
	m.Frozen = !m.Frozen
	c.Watch.Set(&metrics.Claims{ // which compares with what it was set to before
		Channels: maps.Clone(m.Channels), States: m.States, Steps: maps.Clone(m.Steps), Budget: m.Budget, Left: m.Left,
		Took: m.Took, At: m.At, Frozen: m.Frozen,
	})
	for _, k := range store.ErrorKinds() {
		c.Errors.WithLabelValues(string(k)).Inc()
	}
	c.Offered.WithLabelValues(intake.ChannelPage, string(intake.OutcomeTaken)).Inc()
	c.Topic.Records.WithLabelValues(metrics.OutcomeTaken).Inc()
	c.Checks.Called("tax_office", nil)
	c.Checks.Called("bank", store.ErrBudget)
}
