package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/granter/granter/grant/exclusion"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

// listFacts are what the lists of users to exclude say, and who of them is settled already.
type listFacts struct {
	list           *exclusion.List
	err            error
	excluded, had  int64 // excluded already; granted
	comparisonErr  error
	comparisonDone bool
}

func (f *listFacts) gather(ctx context.Context, in *Input) {
	if len(in.Campaign.Exclude) == 0 {
		return
	}
	reader := exclusion.Reader{Campaign: in.Campaign, Folder: in.Folder, Kafka: source.Config{
		Kafka: in.Kafka, Campaign: in.Campaign.Name, RetryFor: patience,
	}}
	if f.list, f.err = reader.Read(ctx); f.err != nil {
		return
	}
	store, err := ledger.Open(in.Redis, in.Campaign, ledger.Config{Pass: in.Pass, RetryFor: time.Nanosecond})
	if err != nil {
		return // Redis's results say why
	}
	f.excluded, f.had, f.comparisonErr = exclusion.Compare(ctx, ledger.NewReader(store), f.list)
	f.comparisonDone = f.comparisonErr == nil
}

// judgeExclude judges the lists of users who do not get the campaign: a run that cannot read them grants nobody.
func (j *judgement) judgeExclude() {
	const name = "campaign.exclude"
	f := j.lists
	switch {
	case len(j.Campaign.Exclude) == 0:
	case exclusion.Unreadable(f.err):
		j.fail(name, strings.ReplaceAll(f.err.Error(), "\n", "; "),
			"correct them: until then a run grants nobody, since who is named there would be granted")
	case errors.Is(f.err, context.DeadlineExceeded):
		j.warn(name, "there was no time to read all lists: "+f.err.Error(), "a run reads them whole, however long it takes, "+
			"before it grants anybody: granter exclude --listed does so ahead of it")
	case f.err != nil:
		j.fail(name, f.err.Error(), "a run reads the lists before it grants anybody: make them readable, and for a topic "+
			"allow this user to Describe and Read it")
	case f.list.Users() == 0:
		j.warn(name, "the lists name nobody: "+f.list.String(), "make sure that whoever fills them has; a run grants everybody")
	case f.comparisonDone && f.had > 0:
		j.warn(name, fmt.Sprintf("%s to exclude: %s; %s of them %s the campaign already, by a run or by hand",
			plural(f.list.Users(), "user"), f.list, text.Number(f.had), has(f.had)),
			"granter exclude --users FILE --dry-run names them; granter revoke takes it back from whom it should")
	default:
		detail := fmt.Sprintf("%s to exclude: %s", plural(f.list.Users(), "user"), f.list)
		if f.comparisonDone && f.excluded > 0 {
			detail += "; " + text.Number(f.excluded) + " of them are excluded already"
		}
		j.pass(name, detail)
	}
}

func has(n int64) string {
	if n == 1 {
		return "has"
	}
	return "have"
}
