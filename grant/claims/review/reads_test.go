package review

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// showsNobody are the pages that say nothing of any claim's owner, and why they need no line of the access log.
var showsNobody = map[string]string{
	"GET " + pathTime:      "the programme's windows",
	"POST " + pathTime:     "the programme's windows",
	"GET " + pathBudget:    "sums of all claims",
	"POST " + pathBudget:   "sums of all claims",
	"GET " + pathStat:      "sums of all claims",
	"POST " + pathStat:     "sums of all claims",
	"GET " + pathStop:      "who stopped decisions",
	"POST " + pathStop:     "who stopped decisions",
	"GET " + pathEnter:     "a form",
	"POST " + pathEnter:    "what the reader typed himself",
	"GET " + pathRead:      "who has read, and the numbers of claims",
	"GET " + pathCouncil:   "members, and when the council meets",
	"POST " + pathCouncil:  "it leads to a page that leaves one",
	"POST " + pathVote:     "it leads to a page that leaves one",
	"POST " + pathShow:     "it leads to a page that leaves one",
	"POST " + PathRedacted: "it leads to a page that leaves one",
	"POST " + pathGone:     "the number that the reader typed himself",
}

// Every page that says something of somebody's claim leaves a line of the access log before it does, with who, from where, what,
// whose and why. A page that is new is in one of the two lists, or this fails.
func TestEveryReadOfAClaimLeavesALine(t *testing.T) {
	o := assembled(t)
	o.onAgenda()
	kept, err := o.Store.Documents(t.Context(), id(0))
	require.NoError(t, err)
	digest := kept[0].Digest
	o.who = Staff{Name: "kim", Duties: []claims.Duty{claims.Reviewer}}
	status, body := o.post("/claims/"+id(0)+"/show", url.Values{"digest": {digest}, fieldWhy: {"nothing to hide"}})
	require.Equal(t, 303, status, body)
	chosen := url.Values{"claim": {id(1)}, fieldAction: {string(claims.Flag)}, fieldWhy: {"shares a phone"}}
	leaves := map[string]struct {
		path string
		form url.Values // nil: it is a GET
		what store.ReadWhat
		why  string
	}{
		"GET " + Path:      {"/claims?queue=in_review", nil, store.ReadList, ""},
		"POST " + pathMany: {"/claims/many", chosen, store.ReadDone, "shares a phone"},
		"GET " + pathOne:   {"/claims/" + id(1), nil, store.ReadClaim, ""},
		"POST " + pathWho: {
			"/claims/" + id(1) + "/person", url.Values{fieldWhy: {"she called"}}, store.ReadOwner, "she called",
		},
		"GET " + pathDoc:     {"/claims/" + id(0) + "/documents/" + digest, nil, store.ReadDocument, "document " + digest[:12]},
		"GET " + pathMeeting: {"/claims/council/1", nil, store.ReadCouncil, ""},
		"GET " + pathItem:    {"/claims/council/1/items/1", nil, store.ReadCouncil, ""},
		"GET " + pathMinutes: {"/claims/minutes/1", nil, store.ReadCouncil, ""},
		"GET " + pathShown: {
			"/claims/council/1/items/1/documents/" + digest, nil, store.ReadDocument,
			"document " + digest[:12] + ", as the council reads it",
		},
	}
	for pattern := range o.Routes() {
		if showsNobody[pattern] != "" {
			continue
		}
		if pattern == "POST "+pathDo {
			o.confirmsWithALine()
			continue
		}
		one, known := leaves[pattern]
		require.True(t, known, "%s: does it say something of a claim? Then it leaves a line; else say here why not", pattern)
		whose := id(0)
		if strings.Contains(one.path, id(1)) || one.form != nil || strings.Contains(one.path, "queue") {
			whose = id(1)
		}
		o.leaves(pattern, one.what, one.why, whose, func() (int, string) {
			if one.form != nil {
				return o.post(one.path, one.form)
			}
			return o.get(one.path)
		})
	}
}

// confirmsWithALine asks for a step, which is said once more before it is taken.
func (o *office) confirmsWithALine() {
	o.Helper()
	other := newOffice(o.T, 20_000_000)
	other.check(0, claims.Review)
	other.leaves("POST "+pathDo, store.ReadDone, "", id(0), func() (int, string) {
		return other.post("/claims/"+id(0)+"/do", url.Values{
			fieldAction: {"decline"}, fieldSeq: {strconv.Itoa(other.claim(0).Seq)}, fieldWhy: {"no loss"},
			fieldReason: {string(claims.ReasonNoLoss)},
		})
	})
}

// leaves requires that a request adds to the access log what somebody reads of a claim.
func (o *office) leaves(pattern string, what store.ReadWhat, why, whose string, ask func() (int, string)) {
	o.Helper()
	o.who = Staff{Name: "kim", Duties: []claims.Duty{claims.Approver, claims.Reviewer}, From: "192.0.2.7"}
	o.now = o.now.Add(time.Minute) // the latest are the first
	before, err := o.Store.Access(o.Context(), store.AccessFilter{Claim: whose})
	require.NoError(o, err)
	status, body := ask()
	require.Equal(o, 200, status, "%s: %s", pattern, body)
	after, err := o.Store.Access(o.Context(), store.AccessFilter{Claim: whose})
	require.NoError(o, err)
	require.Greater(o, len(after), len(before), pattern)
	var last *store.Looked
	for i := range after[:len(after)-len(before)] {
		if after[i].What == what {
			last = &after[i]
		}
	}
	require.NotNil(o, last, "%s: %+v", pattern, after[:len(after)-len(before)])
	require.Equal(o, "kim", last.By.Name, pattern)
	require.Equal(o, "192.0.2.7", last.From, pattern)
	require.Equal(o, why, last.Why, pattern)
	require.False(o, last.At.IsZero())
}

// What cannot be recorded is not shown.
func TestWhatCannotBeRecordedIsNotShown(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.check(0, claims.Review)
	_, body := o.get("/claims/" + id(0))
	require.Contains(t, body, o.claim(0).Unit.String())
	o.who.Name = "" // whom no log can name
	for _, path := range []string{"/claims/" + id(0), "/claims?queue=in_review"} {
		status, body := o.get(path)
		require.NotEqual(t, 200, status)
		require.NotContains(t, body, o.claim(0).Unit.String())
	}
}
