package preflight

import (
	"errors"
	"fmt"
	"strings"

	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/text"
)

func (j *judgement) judgeCampaign() {
	j.judgeDates()
	j.judgeExclude()
	if j.redis.err != nil {
		return // Redis's results say why
	}
	j.judgeSpec()
	j.judgeProgress()
	j.judgeOrders()
	j.judgeOffers()
}

func (j *judgement) judgeDates() {
	c := j.Campaign
	ends := "no end"
	if !c.EndsAt.IsZero() {
		ends = "ends at " + text.Moment(c.EndsAt)
	}
	switch {
	case !c.EndsAt.IsZero() && !j.now.Before(c.EndsAt):
		j.fail("campaign.dates", fmt.Sprintf("it ended at %s, %s ago", text.Moment(c.EndsAt), span(j.now.Sub(c.EndsAt))),
			"nothing may be granted any more: if that is wrong, correct ends_at in the spec before the first grant")
	case j.now.Before(c.StartsAt):
		j.pass("campaign.dates", fmt.Sprintf("starts in %s, at %s; %s", span(c.StartsAt.Sub(j.now)), text.Moment(c.StartsAt), ends))
	default:
		j.pass("campaign.dates", fmt.Sprintf("started at %s, %s ago; %s", text.Moment(c.StartsAt), span(j.now.Sub(c.StartsAt)), ends))
	}
}

func (j *judgement) judgeSpec() {
	r := j.redis
	const name = "campaign.spec"
	given := fmt.Sprintf("%.12s", j.Campaign.Hash)
	newer, _ := errors.AsType[*ledger.FormatError](r.specErr)
	switch {
	case newer != nil:
		j.fail(name, newer.Error(), "check and run with that version; docs/ledger.md says what a format is")
	case r.specErr != nil:
		j.fail(name, "the ledger's spec cannot be read: "+r.specErr.Error(), "look at the key granter:{"+j.Campaign.Name+"}:spec")
	case !r.stored && r.permitted != nil:
		j.fail(name, r.permitted.Error(), "granter status --prove says what is left of the ledger")
	case !r.stored:
		j.pass(name, given+", not stored yet: the first run stores it")
	case r.spec.Hash == j.Campaign.Hash:
		j.pass(name, fmt.Sprintf("%s, the one that is stored since %s", given, text.Moment(r.spec.StoredAt.In(j.Campaign.StartsAt.Location()))))
	case r.permitted == nil:
		j.pass(name, fmt.Sprintf("%s replaces %.12s, under which nobody was granted", given, r.spec.Hash))
	default:
		diff := strings.ReplaceAll(campaign.Diff(r.spec.Canonical, j.Campaign.Canonical), "\n", "; ")
		j.fail(name, r.permitted.Error()+"; "+diff, "give the campaign another name, or its old spec back")
	}
}

func (j *judgement) judgeProgress() {
	r := j.redis
	const name = "campaign.progress"
	if r.totalsErr != nil || r.checkpointErr != nil {
		err := r.totalsErr
		if err == nil {
			err = r.checkpointErr
		}
		j.fail(name, "the ledger cannot be read: "+err.Error(), "run granter status --prove, which says where it is inconsistent")
		return
	}
	for _, err := range []error{r.runsErr, r.unlistedErr} {
		if err != nil {
			j.fail(name, "the ledger cannot be read: "+err.Error(), "run granter status --prove, which says where it is inconsistent")
			return
		}
	}
	if n := len(r.unlisted); n > 0 {
		j.warn(name, fmt.Sprintf("the index granter:{%s}:chunks lacks %s, such as %d: their users are granted, and not counted", j.Campaign.Name, plural(int64(n), "chunk"), r.unlisted[0]),
			"find out who changed it; the run puts them back")
		return
	}
	if what := ledger.Contradiction(j.Campaign.Name, r.totals, r.checkpoint.Next, r.runs, j.Campaign.Hash); what != "" {
		j.fail(name, what, "granter status --prove says what is left of the ledger")
		return
	}
	if len(r.checkpoint.Next) == 0 && r.totals.Granted == 0 {
		j.pass(name, "nobody is granted yet: a run starts from the beginning")
		return
	}
	granted := plural(r.totals.Granted, "user") + " granted"
	if want := j.Campaign.Population; want > 0 {
		granted = fmt.Sprintf("%s of %s granted", text.Number(r.totals.Granted), plural(want, "user"))
	}
	if start := j.start(); start != nil && len(start.From) > 0 {
		bounds, until := j.kafka.bounds, ""
		if f := r.control.Finish; f != nil && f.Of(j.kafka.identity) {
			bounds, until = bounds.Until(f.Ends), ", up to where it was ordered to finish"
		}
		granted += fmt.Sprintf("; a run has %s to read%s", plural(bounds.From(start.From), "record"), until)
	}
	if want := j.Campaign.Population; want > 0 && r.totals.Granted > want {
		j.warn(name, granted, "more users than the spec expects: make sure that the topic holds those that it should")
		return
	}
	j.pass(name, granted)
}

// judgeOrders says what operators have ordered that a run would meet.
func (j *judgement) judgeOrders() {
	const name = "campaign.orders"
	if err := j.redis.controlErr; err != nil {
		j.fail(name, "what operators have ordered cannot be read: "+err.Error(), "look at the key granter:{"+j.Campaign.Name+"}:control")
		return
	}
	standing := j.redis.control.Standing(j.Campaign.StartsAt.Location())
	words := make([]string, len(standing))
	for i := range standing {
		words[i] = standing[i].Says
	}
	detail := strings.Join(words, "; ")
	switch {
	case j.redis.control.AbortedBy != nil:
		j.warn(name, detail, "a run ends at once, with exit code 6, until granter resume")
	case len(standing) > 0:
		j.warn(name, detail, "a run obeys: granter history says more, granter resume and granter throttle off end it")
	default:
		j.pass(name, "nothing that is ordered holds a run up")
	}
}
