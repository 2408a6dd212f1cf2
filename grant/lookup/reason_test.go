package lookup

import (
	"errors"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
)

var seoul = time.FixedZone("KST", 9*60*60)

func aCampaign() *grant.Campaign {
	return &grant.Campaign{
		Name: "sorry-2022", Title: "Sorry", StartsAt: time.Date(2023, 1, 5, 9, 0, 0, 0, seoul),
		Input: grant.Input{Topic: "users", MaxID: 50_000_000},
		Items: []grant.Item{{ID: "thank-you", Kind: grant.KindEmoticon}},
	}
}

// parts are parts of a status that are known.
func parts(names ...status.PartName) (list []status.Part) {
	at := time.Now()
	for _, name := range names {
		list = append(list, status.Part{Part: name, At: &at})
	}
	return list
}

// settled is the status of a campaign that has granted all that its topic has.
func settled() *status.Status {
	c := aCampaign()
	return &status.Status{
		At: time.Now(), Phase: status.PhaseFinished, StartsAt: c.StartsAt, Records: 1000, Parts: parts(status.Parts()...),
		Partitions: []status.Partition{{Partition: 0, End: 600, Checkpoint: 600}, {Partition: 1, End: 400, Checkpoint: 400}},
		Runs:       []status.Replica{{RunRecord: grant.RunRecord{State: grant.RunFinished}}},
	}
}

// behind is one that runs, with 300 records left.
func behind() *status.Status {
	st := settled()
	end := time.Date(2023, 1, 5, 1, 0, 0, 0, time.UTC)
	st.Phase, st.Lag, st.EstimatedEnd = status.PhaseRunning, 300, &end
	st.Partitions[0].Checkpoint, st.Partitions[0].Lag = 550, 50
	st.Partitions[1].Checkpoint, st.Partitions[1].Lag = 150, 250
	st.Runs = []status.Replica{{RunRecord: grant.RunRecord{State: grant.RunRunning}, Live: true}}
	return st
}

// Each reason of a campaign, out of a status in which nothing else is said.
func TestWhyNot(t *testing.T) {
	later := time.Date(2023, 1, 6, 9, 0, 0, 0, seoul)
	given := &grant.Given{At: later, Who: "minji", Why: "complaints"}
	for name, test := range map[string]struct {
		from   func() *status.Status
		change func(*status.Status)
		want   []Code
		says   string // part of what the first says
	}{
		"all is settled": {settled, func(*status.Status) {}, []Code{NotFound}, "All 1,000 records"},
		"records are left": {
			behind, func(*status.Status) {},
			[]Code{InLag}, "300 of 1,000 records are not settled yet, in 2 of 2",
		},
		"waiting for the start": {
			behind, func(st *status.Status) { st.Phase = status.PhaseWaiting },
			[]Code{NotStarted}, "5 January 2023, 09:00",
		},
		"postponed": {behind, func(st *status.Status) {
			st.Phase, st.PostponedFrom, st.StartsAt = status.PhaseWaiting, new(st.StartsAt), later
		}, []Code{Postponed}, "to 6 January"},
		"aborted": {
			behind, func(st *status.Status) { st.Phase, st.Control.AbortedBy = status.PhaseAborted, given },
			[]Code{Aborted}, "aborted",
		},
		"over": {
			behind, func(st *status.Status) { st.Phase, st.EndsAt = status.PhaseEnded, &later },
			[]Code{Ended}, "ended on 6 January",
		},
		"paused": {
			behind, func(st *status.Status) { st.Phase, st.Control.Paused = status.PhasePaused, true },
			[]Code{Paused, InLag}, "paused",
		},
		"paused, nobody runs": {
			behind, func(st *status.Status) { st.Phase, st.Control.Paused, st.Runs = status.PhaseIdle, true, nil },
			[]Code{Paused, InLag}, "paused",
		},
		"preflight fails": {behind, func(st *status.Status) {
			st.Phase, st.Holds = status.PhasePaused, []grant.Hold{{Cause: grant.CausePreflight, Detail: "no memory"}}
		}, []Code{Preflight, InLag}, "a check before the start fails"},
		"Redis refuses grants": {behind, func(st *status.Status) {
			st.Phase, st.Holds = status.PhasePaused, []grant.Hold{{Cause: grant.CauseUnavailable}}
		}, []Code{Held, InLag}, "stands still"},
		"throttled": {behind, func(st *status.Status) {
			st.Phase, st.Holds = status.PhaseThrottled, []grant.Hold{{Cause: grant.CauseThrottle}}
		}, []Code{Throttled, InLag}, "slowed down"},
		"nobody runs": {
			behind, func(st *status.Status) { st.Phase, st.Runs = status.PhaseIdle, nil },
			[]Code{NobodyRuns, InLag}, "no replica",
		},
		"a canary, and no more": {behind, func(st *status.Status) {
			st.Phase, st.Runs[0].Pass, st.Runs[0].State = status.PhaseIdle, "canary 1%", grant.RunFinished
		}, []Code{OnlyCanary, InLag}, "canary 1%"},
		"a canary, then a run": {behind, func(st *status.Status) {
			st.Runs = append([]status.Replica{{RunRecord: grant.RunRecord{Pass: "canary 1%"}}}, st.Runs...)
		}, []Code{InLag}, ""},
		"finished before": {
			settled, func(st *status.Status) { st.Lag, st.FinishLag, st.Control.Finish = 9, new(int64(0)), &grant.Finish{} },
			[]Code{Finished}, "9 did",
		},
		"finishing": {behind, func(st *status.Status) {
			st.Phase, st.FinishLag, st.Control.Finish = status.PhaseFinishing, new(int64(30)), &grant.Finish{}
		}, []Code{InLag}, "30 of"},
		"another topic": {behind, func(st *status.Status) { st.TopicChanged = "it was made again" }, []Code{TopicReplaced}, ""},
		"Kafka is away": {
			behind, func(st *status.Status) { st.Parts = parts(status.PartControl, status.PartRuns) },
			[]Code{StatusUnknown}, "",
		},
		"Redis went away": {behind, func(st *status.Status) { st.Parts = nil }, []Code{StatusUnknown}, ""},
		"Kafka is away, aborted": {behind, func(st *status.Status) {
			st.Phase, st.Parts = status.PhaseAborted, parts(status.PartControl, status.PartRuns)
		}, []Code{Aborted}, ""},
		"a record seems to mean the user": {settled, func(st *status.Status) {
			st.Samples = []grant.Reject{{Partition: 1, Offset: 17, Reason: "leading_zero", Value: `"0041231007"`}}
		}, []Code{Rejected}, "malformed (leading_zero), so nobody was granted by it: offset 17 of partition 1"},
	} {
		t.Run(name, func(t *testing.T) {
			st := test.from()
			test.change(st)
			st.Orders = st.Control.Standing(seoul)
			c := aCampaign()
			a := newAnswer(c, grant.NumberID(41_231_007))
			f := facts{campaign: c, status: st}
			got := f.reasons(&a)
			codes := []Code{}
			for _, r := range got {
				codes = append(codes, r.Code)
				wellFormed(t, r)
			}
			require.Equal(t, test.want, codes)
			require.Contains(t, got[0].Says.EN, test.says)
			if test.want[0] == Aborted && st.Control.AbortedBy != nil {
				require.Contains(t, got[0].Detail, "by minji")
			}
		})
	}
}

// wellFormed requires that a reason is a sentence and a next step, in each language.
func wellFormed(t *testing.T, r Reason) {
	t.Helper()
	require.Contains(t, Codes(), r.Code)
	for _, text := range []Text{r.Says, r.Next} {
		require.Regexp(t, `^[A-Zt0-9].*\.$`, text.EN)
		require.Regexp(t, `\.$`, text.KO)
		require.Contains(t, hangul(text.KO), true, "%s is no Korean", text.KO)
		require.NotContains(t, text.EN+text.KO, "%!", "a format does not fit")
	}
}

func hangul(s string) (list []bool) {
	for _, r := range s {
		list = append(list, unicode.Is(unicode.Hangul, r))
	}
	return list
}

// The lag names the partitions that are not settled, and when it should be done, by the campaign's clock.
func TestWhereTheLagIs(t *testing.T) {
	r := inLag(behind())
	require.Equal(t, []Behind{{1, 150, 250}, {0, 550, 50}}, r.Lag.Partitions)
	require.Equal(t, "2023-01-05T10:00:00+09:00", r.Lag.DoneAbout.Format(time.RFC3339))
	require.Contains(t, r.Next.EN, "5 January 2023, 10:00 (UTC+09:00)")
	require.Contains(t, r.Next.KO, "2023년 1월 5일 10:00 (UTC+09:00)")
}

func TestAnIDAboveTheLimitCannotBeInTheTopic(t *testing.T) {
	a := newAnswer(aCampaign(), grant.NumberID(50_000_001))
	f := facts{campaign: aCampaign(), status: behind()}
	got := f.reasons(&a)
	require.Len(t, got, 1)
	require.Equal(t, OutsidePopulation, got[0].Code)
	wellFormed(t, got[0])
}

// Items that are to be taken: not yet, not in time, too late for the first.
func TestWhyAnItemIsNotHeld(t *testing.T) {
	granted := time.Date(2023, 1, 5, 9, 0, 0, 0, seoul)
	c := aCampaign()
	c.Items = []grant.Item{
		{ID: "given"}, {ID: "offered", Validity: grant.Validity{Taken: true}},
		{ID: "lapsed", Validity: grant.Validity{Taken: true}, TakeUntil: granted.Add(time.Hour)},
		{ID: "first", Validity: grant.Validity{Taken: true}, First: 3},
	}
	h := &grant.Holding{GrantedAt: granted, FullAt: []time.Time{{}, {}, {}, granted}}
	a := newAnswer(c, grant.NumberID(1))
	a.Granted, a.Entitlements = true, Entitlements(c, h, granted.Add(time.Hour))
	f := facts{campaign: c}
	var got [][2]string
	for _, r := range f.reasons(&a) {
		got = append(got, [2]string{string(r.Code), r.Item})
		wellFormed(t, r)
	}
	require.Equal(t, [][2]string{{"not_taken_yet", "offered"}, {"not_taken", "lapsed"}, {"quota_exhausted", "first"}}, got)
}

func TestWhatIsSaidWhenTheLedgerDoesNotAnswer(t *testing.T) {
	for err, want := range map[error]Code{
		errors.New("connection refused"): LedgerUnavailable, ledger.ErrInconsistent: LedgerInconsistent,
	} {
		a := Unanswered(aCampaign(), grant.NumberIDs(1, 2), err)
		require.Len(t, a, 2)
		require.False(t, a[1].Known)
		require.Equal(t, want, a[1].Reasons[0].Code)
		wellFormed(t, a[1].Reasons[0])
	}
}

func TestLanguages(t *testing.T) {
	require.Equal(t, Korean, LangFor("ko-KR,ko;q=0.9,en-US;q=0.8"))
	require.Equal(t, English, LangFor("en-GB"))
	require.Equal(t, English, LangFor("fr"))
	require.Equal(t, English, LangFor(""))
	require.Equal(t, Korean, LangFor("", "ko"))
	require.Equal(t, "48,000,000", English.Number(48_000_000))
	at := time.Date(2023, 1, 5, 9, 0, 3, 0, seoul)
	require.Equal(t, "5 January 2023, 09:00:03 (UTC+09:00)", English.Moment(at))
	require.Equal(t, "2023년 1월 5일 09:00:03 (UTC+09:00)", Korean.Moment(at))
	require.Equal(t, "5 January 2023, 00:00 UTC", English.Minute(at.UTC()))
	require.Equal(t, "the end of 5 January 2023 (UTC+09:00)", English.DayEnd(at))
	require.Equal(t, "2023년 1월 5일 24시 (UTC+09:00)", Korean.DayEnd(at))
}
