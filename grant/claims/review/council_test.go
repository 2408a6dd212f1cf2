package review

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
)

// member is somebody who is here as a member of the council alone.
func member(name string) Staff { return Staff{Name: name, Duties: []claims.Duty{claims.CouncilDuty}} }

const onePDF = "%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"

// assembled is an office with two claims in review, of a loss that the council decides, and its members.
func assembled(t *testing.T) *office {
	o := newOffice(t, 100_000_000, 100_000_000)
	for i := range 2 {
		_, err := o.Documents.Add(t.Context(), o.claim(i), documents.Sent{
			Kind: "proof_of_sales_damage",
			Name: "a.pdf",
			Body: strings.NewReader(onePDF + "\n" + id(i) + "\n%%EOF\n"),
			By:   store.Owner,
		})
		require.NoError(t, err)
		o.check(i, claims.Review)
	}
	for _, seat := range []vote.Seat{
		{Name: "cho", Affiliation: "consumers", Shown: "조위원"}, {Name: "han", Affiliation: "academia", Shown: "한위원"},
		{Name: "min", Affiliation: "small_business"}, {Name: "seo", Affiliation: "company"},
		{Name: "yoon", Affiliation: "consumers"},
	} {
		o.council(oh, url.Values{fieldDo: {doJoin}, fieldName: {seat.Name}, fieldShown: {seat.Shown},
			fieldAffiliation: {string(seat.Affiliation)}}, 303)
	}
	o.council(oh, url.Values{fieldDo: {doCall}, fieldAt: {"2023-03-02T14:00"}, fieldPlace: {"3층 회의실"}}, 303)
	return o
}

// council sends one of the secretary's forms as somebody.
func (o *office) council(who Staff, form url.Values, want int) string {
	o.Helper()
	o.who = who
	if !form.Has(fieldWhy) {
		form.Set(fieldWhy, "because of the council")
	}
	status, body := o.post("/claims/council", form)
	require.Equal(o, want, status, body)
	return body
}

// ballot sends one of an item's forms as somebody.
func (o *office) ballot(who Staff, form url.Values, want int) string {
	o.Helper()
	o.who = who
	form.Set(fieldMeeting, "1")
	form.Set(fieldItem, "1")
	status, body := o.post("/claims/council/vote", form)
	require.Equal(o, want, status, body)
	return body
}

// onAgenda has the first claim before the first meeting of the council.
func (o *office) onAgenda() {
	o.Helper()
	status, _ := o.do(kim, claims.Refer, fieldWhy, "the loss is large")
	require.Equal(o, 303, status)
	o.council(oh, url.Values{fieldDo: {doAttend}, fieldMeeting: {"1"}, fieldNoted: {"0"}, fieldChair: {"han"},
		fieldPresent: {"cho", "han", "min", "seo", "yoon"}}, 303)
	o.council(oh, url.Values{fieldDo: {doAgenda}, fieldMeeting: {"1"}, fieldClaim: {id(0)}, fieldMotion: {"approve"},
		fieldAmount: {"6,000,000"}, fieldWhy: {"the sales reports show it"}}, 303)
}

func TestACouncilDecidesOnItsPages(t *testing.T) {
	o := assembled(t)
	status, body := o.do(lee, claims.Approve, fieldAmount, "2000000")
	require.Equal(t, 409, status)
	require.Contains(t, body, "the council&#39;s to decide: refer it")
	o.onAgenda()
	_, body = o.get("/claims/council/1")
	require.Contains(t, body, "Approve: 6,000,000 won")
	require.Contains(t, body, "open · 0 of 5 have voted")
	require.Contains(t, body, `한위원 · academia`)

	for _, name := range []string{"cho", "min"} {
		o.ballot(member(name), url.Values{fieldDo: {doVote}, fieldChoice: {"for"}, fieldWhy: {"it is shown"}}, 303)
	}
	_, body = o.get("/claims/council/1/items/1")
	require.Contains(t, body, "You voted: for. Until it is counted you can change that.")
	require.NotContains(t, body, "it is shown", "nobody votes by what others did")
	o.ballot(member("seo"), url.Values{fieldDo: {doVote}, fieldChoice: {"against"}}, 303)
	require.Contains(t, o.ballot(member("seo"), url.Values{fieldDo: {doVote}}, 409), "is no vote")
	require.Contains(t, o.ballot(member("kang"), url.Values{fieldDo: {doVote}, fieldChoice: {"for"}}, 409), "has no seat")
	require.Contains(t, o.ballot(kim, url.Values{fieldDo: {doVote}, fieldChoice: {"for"}}, 409), "members of the council vote")
	require.Contains(
		t,
		o.ballot(member("cho"), url.Values{fieldDo: {doCount}, fieldSure: {"yes"}}, 409),
		"by the secretary or the chair",
	)
	han := member("han")
	o.ballot(han, url.Values{fieldDo: {doVote}, fieldChoice: {"for"}}, 303)
	require.Contains(t, o.ballot(han, url.Values{fieldDo: {doCount}}, 200), "4 of 5 who may vote have voted")
	require.Equal(t, claims.BeforeCouncil, o.claim(0).State, "nothing is counted before it is confirmed")
	o.ballot(han, url.Values{fieldDo: {doCount}, fieldSure: {"yes"}}, 303)
	require.Equal(t, claims.Approved, o.claim(0).State)
	require.EqualValues(t, 6_000_000, o.claim(0).Owed)
	require.Contains(t, o.ballot(member("yoon"), url.Values{fieldDo: {doVote}, fieldChoice: {"for"}}, 409), "has been counted")
	o.council(oh, url.Values{fieldDo: {doClose}, fieldMeeting: {"1"}}, 303)

	o.who = member("cho")
	_, body = o.get("/claims/minutes/1")
	for _, want := range []string{
		"3층 회의실", "조위원", "carried (3 for, 1 against, 0 abstained, 1 no vote): decided: Approve: 6,000,000 won",
		"the sales reports show it", "it is shown", "Signed, the chair", "no vote",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "김사장")
	o.proven()
}

func TestAMemberIsRecused(t *testing.T) {
	o := assembled(t)
	o.onAgenda()
	o.ballot(member("cho"), url.Values{fieldDo: {doVote}, fieldChoice: {"for"}}, 303)
	require.Contains(t, o.ballot(member("cho"), url.Values{fieldDo: {doRecuse}, fieldWhy: {" "}}, 409), "say why")
	o.ballot(member("cho"), url.Values{fieldDo: {doRecuse}, fieldWhy: {"a friend's shop"}}, 303)
	o.ballot(oh, url.Values{fieldDo: {doRecuse}, fieldMember: {"seo"}, fieldWhy: {"said so at the meeting"}}, 303)
	require.Contains(t, o.ballot(member("cho"), url.Values{fieldDo: {doVote}, fieldChoice: {"for"}}, 409), "cho is recused")
	o.who = member("cho")
	_, body := o.get("/claims/council/1/items/1")
	require.Contains(t, body, "You are recused: a friend&#39;s shop")
	require.Contains(t, body, "open · 0 of 3 have voted")
	o.ballot(oh, url.Values{fieldDo: {doCount}, fieldSure: {"yes"}}, 303)
	require.Equal(t, claims.BeforeCouncil, o.claim(0).State)
	_, body = o.get("/claims/minutes/1")
	require.Contains(t, body, "no quorum")
	require.Contains(t, body, "조위원 (consumers): a friend&#39;s shop")
	o.proven()
}

// A member sees what there is to decide, and nothing that says whose claim it is; who has read it is in history.
func TestAMemberSeesNobodysName(t *testing.T) {
	o := assembled(t)
	o.onAgenda()
	c := o.claim(0)
	person, err := o.Store.Person(t.Context(), c.ID)
	require.NoError(t, err)
	o.who = member("cho")
	before := o.claim(0).Seq
	for _, path := range []string{"/claims/council", "/claims/council/1", "/claims/council/1/items/1", "/claims/minutes/1"} {
		status, body := o.get(path)
		require.Equal(t, 200, status)
		for _, hidden := range []string{
			person.Business, person.Representative, person.Phone, person.Account, person.Holder, c.Unit.String(), string(c.Unit),
			`href="../../../../claims/c-`, c.Documents[0].Digest,
		} {
			require.NotContains(t, body, hidden, path)
		}
	}
	_, body := o.get("/claims/council/1/items/1")
	require.Contains(t, body, council.Masked(c.Unit))
	require.Contains(t, body, "not shown to the council")
	history, err := o.Store.History(t.Context(), c.ID)
	require.NoError(t, err)
	require.Len(t, history, before+2, "each time that it was read")
	last := history[len(history)-1]
	require.Equal(t, store.Actor{Name: "cho", Duty: claims.CouncilDuty}, last.By)
	require.Equal(t, store.Look, last.Action)
	status, _, header := o.send(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/claims", nil))
	require.Equal(t, 303, status)
	require.Equal(t, "claims/council", header.Get("Location"))
	for _, path := range []string{"/claims/council/2", "/claims/council/1/items/2", "/claims/council/x", "/claims/minutes/9"} {
		status, _ := o.get(path)
		require.Contains(t, []int{404, 409}, status, path)
	}
	status, _ = o.get("/claims/council/1/items/1/documents/" + c.Documents[0].Digest)
	require.Equal(t, 404, status, "what was not shown to the council is not there")
	o.proven()
}

func (o *office) upload(who Staff, digest, name, content string) (int, string) {
	o.Helper()
	o.who = who
	status, body, _ := o.send(o.uploading(url.Values{fieldDigest: {digest}}, name, content))
	return status, body
}

func (o *office) uploading(fields url.Values, name, content string) *http.Request {
	o.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for field := range fields {
		require.NoError(o, w.WriteField(field, fields.Get(field)))
	}
	file, err := w.CreateFormFile(fieldFile, name)
	require.NoError(o, err)
	_, err = file.Write([]byte(content))
	require.NoError(o, err)
	require.NoError(o, w.Close())
	r := httptest.NewRequestWithContext(o.Context(), http.MethodPost, "/claims/"+id(0)+"/redacted", &form)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}

func TestTheCouncilReadsRedactedVersions(t *testing.T) {
	o := assembled(t)
	digest := o.claim(0).Documents[0].Digest
	o.who = kim
	_, body := o.get("/claims/" + id(0))
	require.Contains(t, body, "the council cannot read it")
	redacted := strings.Replace(onePDF, "<< >>", "<<  >>", 1)
	status, body := o.upload(lee, digest, "r.pdf", redacted)
	require.Equal(t, 409, status)
	require.Contains(t, body, "for a reviewer to say")
	for _, bad := range []struct{ digest, content, says string }{
		{digest, onePDF + "\n" + id(0) + "\n%%EOF\n", "with nothing hidden"}, {digest, "MZ", "Only PDF"},
		{digest, strings.Repeat("x", MaxUpload), "larger than 10 MB"},
		{strings.Repeat("0", 64), redacted, "no such claim or document"},
	} {
		status, body = o.upload(kim, bad.digest, "r.pdf", bad.content)
		require.Contains(t, []int{404, 409}, status)
		require.Contains(t, body, bad.says)
	}
	folder := o.Documents.Blobs
	o.Documents.Blobs = documents.Folder("/dev/null/nowhere")
	status, body = o.upload(kim, digest, "r.pdf", redacted)
	require.Equal(t, 503, status, "no room")
	require.Contains(t, body, "Try again in a moment")
	o.Documents.Blobs = folder
	status, _ = o.upload(kim, digest, "r.pdf", redacted)
	require.Equal(t, 303, status)
	c := o.claim(0)
	require.Len(t, c.Documents, 1, "it is none of the owner's")
	as := c.ShownAs(digest)
	require.NotEmpty(t, as)
	require.NotEqual(t, digest, as)
	_, body = o.get("/claims/" + id(0))
	require.Contains(t, body, "the council reads a redacted version")
	o.onAgenda()

	o.who = member("cho")
	_, body = o.get("/claims/council/1/items/1")
	require.Contains(t, body, as)
	require.NotContains(t, body, digest)
	status, got := o.get("/claims/council/1/items/1/documents/" + as)
	require.Equal(t, 200, status)
	require.Equal(t, redacted, got)
	status, _ = o.get("/claims/council/1/items/1/documents/" + digest)
	require.Equal(t, 404, status)
	o.who = shin
	status, _ = o.get("/claims/council/1/items/1/documents/" + as)
	require.Equal(t, 409, status, "an auditor reads no documents")

	show := func(who Staff, hide string) int {
		o.who = who
		form := url.Values{fieldDigest: {digest}, fieldWhy: {"there is nothing in it to blacken"}}
		if hide != "" {
			form.Set(fieldHide, hide)
		}
		status, _ := o.post("/claims/"+id(0)+"/show", form)
		return status
	}
	require.Equal(t, 409, show(lee, ""))
	require.Equal(t, 303, show(kim, ""))
	require.Equal(t, digest, o.claim(0).ShownAs(digest))
	require.Equal(t, 303, show(kim, "yes"))
	o.who = member("cho")
	for _, one := range []string{digest, as} {
		status, _ = o.get("/claims/council/1/items/1/documents/" + one)
		require.Equal(t, 404, status, "it is shown no more")
	}
	o.proven()
}

func TestWhatTheSecretaryMayNotDoIsRefused(t *testing.T) {
	o := assembled(t)
	for says, form := range map[string]url.Values{
		"has a seat already":   {fieldDo: {doJoin}, fieldName: {"cho"}, fieldAffiliation: {"consumers"}},
		"is no affiliation":    {fieldDo: {doJoin}, fieldName: {"x"}, fieldAffiliation: {"banks"}},
		"business number":      {fieldDo: {doJoin}, fieldName: {"x"}, fieldAffiliation: {"company"}, fieldBusiness: {"1"}},
		"say when the council": {fieldDo: {doCall}, fieldAt: {"soon"}},
		"is not there": {fieldDo: {doAttend}, fieldMeeting: {"1"}, fieldNoted: {"0"}, fieldPresent: {"cho"},
			fieldChair: {"han"}},
		"there is no meeting 7": {fieldDo: {doAttend}, fieldMeeting: {"7"}, fieldNoted: {"0"}, fieldPresent: {"cho"},
			fieldChair: {"cho"}},
		"open the page again": {fieldDo: {doAttend}, fieldMeeting: {"1"}, fieldPresent: {"cho"}, fieldChair: {"cho"}},
		"nothing to do":       {fieldDo: {"fly"}},
		"the name: ": {fieldDo: {doJoin}, fieldName: {"x"}, fieldShown: {"900101-1234568"},
			fieldAffiliation: {"consumers"}},
		"the place: ": {fieldDo: {doCall}, fieldAt: {"2023-03-02T14:00"}, fieldPlace: {"at 900101-1234568"}},
		"say why":     {fieldDo: {doLeave}, fieldName: {"cho"}, fieldWhy: {" "}},
		"resident":    {fieldDo: {doLeave}, fieldName: {"cho"}, fieldWhy: {"he is 900101-1234567"}},
		"nothing that the council": {fieldDo: {doAgenda}, fieldMeeting: {"1"},
			fieldClaim: {id(1)}, fieldMotion: {"approve"}, fieldAmount: {"1"}},
		"a number of won": {fieldDo: {doAgenda}, fieldMeeting: {"1"},
			fieldClaim: {id(1)}, fieldMotion: {"approve"}, fieldAmount: {"much"}},
		"no such claim or document": {fieldDo: {doAgenda}, fieldMeeting: {"1"},
			fieldClaim: {"nothing"}, fieldMotion: {"approve"}, fieldAmount: {"1"}},
	} {
		o.who = oh
		if !form.Has(fieldWhy) {
			form.Set(fieldWhy, "because")
		}
		status, body := o.post("/claims/council", form)
		require.Contains(t, []int{404, 409}, status, says)
		require.Contains(t, body, says)
	}
	require.Contains(t, o.council(kim, url.Values{fieldDo: {doLeave}, fieldName: {"cho"}}, 409), "the secretary")
	require.Contains(t, o.council(member("cho"), url.Values{fieldDo: {doLeave}, fieldName: {"han"}}, 409), "the secretary")
	o.council(oh, url.Values{fieldDo: {doLeave}, fieldName: {"cho"}}, 303)
	_, body := o.get("/claims/council")
	require.NotContains(t, body, `<option value="cho">`)
	o.proven()
}

// A page on which somebody notes who is there overwrites nothing that was noted since.
func TestAnOldPageDoesNotOverwriteWhoIsThere(t *testing.T) {
	o := assembled(t)
	path, old := o.formIn(o.page(oh, "/claims/council/1"), `id="council-attend"`)
	o.onAgenda() // han, min and three others are there
	old[fieldPresent], old[fieldChair], old[fieldWhy] = []string{"han", "min"}, []string{"han"}, []string{"who came"}
	got := o.sends(oh, path, old)
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, "oh noted who is at meeting 1 since you looked: look again")
	_, again := o.formIn(got.body, `id="council-attend"`)
	require.NotEqual(t, old[fieldNoted], again[fieldNoted])
	again[fieldPresent], again[fieldChair], again[fieldWhy] = old[fieldPresent], old[fieldChair], old[fieldWhy]
	require.Equal(t, 303, o.sends(oh, path, again).status, "whoever has looked again notes it")
	m, err := o.Store.Council(t.Context(), o.Programme.Name)
	require.NoError(t, err)
	require.Equal(t, []string{"han", "min"}, m.Meetings[0].Present)
	o.proven()
}

func TestOnlyThoseWhoJudgeAreHandedClaims(t *testing.T) {
	var s Staff
	s.AddColleague("cho", []claims.Duty{claims.CouncilDuty})
	s.AddColleague("kim", []claims.Duty{claims.Reviewer})
	require.Equal(t, []string{"kim"}, s.Colleagues)
}
