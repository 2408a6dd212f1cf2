package desk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/ledger"
)

const revokeList = "/users/lists/acts/sorry-2022/revoke"

// upload sends a form with a file.
func (b *browser) upload(path, content string, fields url.Values, headers ...string) answer {
	b.Helper()
	r := b.uploading(path, content, fields)
	for i := 0; i < len(headers); i += 2 {
		r.header[headers[i]] = headers[i+1]
	}
	return b.ask(r)
}

// uploading is the request with such a form.
func (b *browser) uploading(path, content string, fields url.Values) request {
	b.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name := range fields {
		require.NoError(b, form.WriteField(name, fields.Get(name)))
	}
	file, err := form.CreateFormFile("file", "bots.csv")
	require.NoError(b, err)
	_, err = file.Write([]byte(content))
	require.NoError(b, err)
	require.NoError(b, form.Close())
	r := request{method: http.MethodPost, path: path, body: body.String(), header: map[string]string{
		"Content-Type": form.FormDataContentType(), "Sec-Fetch-Site": "same-origin", "Cookie": "",
	}}
	for name, value := range b.cookies {
		r.header["Cookie"] += name + "=" + value + "; "
	}
	return r
}

var fraud = url.Values{"reason": {"case 12"}, "revocation": {"fraud"}}

// A list is uploaded, looked at, confirmed and done; the same file comes back with what became of each row.
func TestAListIsConfirmedWithoutAScript(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2, 3)
	b := w.signedIn(w.tokens[RoleOperator])
	require.Contains(t, string(b.form("/users/lists").body), `href="../users/lists/acts/sorry-2022/revoke"`)
	require.Contains(t, string(b.form(revokeList).body), `type="file"`)
	list := "\ufeffticket,user,reason\r\n=1+1,1,\r\n,2,own words\r\n,2,\r\n,x7,\r\n,9,\r\n"
	page := b.upload(revokeList, list, fraud)
	page.isPage(http.StatusOK)
	text := readable(page.body)
	require.Contains(t, text, "Revoke (fraud), sorry-2022: 3 of the 5 rows of bots.csv.")
	require.Contains(t, text, "Rows whose user came before, who is acted upon once: 1.")
	require.Contains(t, text, "5 x7 cannot be read")
	require.Contains(t, text, "6 9 refused")
	require.Nil(t, w.user(1).State.Revoked, "nothing is done before it is confirmed")
	sealed := carried(page)

	file := url.Values{"step": {"file"}}
	for name := range sealed {
		file.Set(name, sealed.Get(name))
	}
	dry := b.send(revokeList, file)
	dry.is(http.StatusOK)
	require.Nil(t, w.user(1).State.Revoked, "nor by a download")

	done := b.send(revokeList, sealed)
	done.isPage(http.StatusOK)
	require.Contains(t, readable(done.body), "PARTIAL: 3 rows done, 0 as they were, 1 refused, 1 not readable, 0 not tried yet.")
	require.Equal(t, "case 12", w.user(1).State.Revoked.Reason)
	require.Equal(t, "own words", w.user(2).State.Revoked.Reason)
	back := b.send(revokeList, file)
	back.is(http.StatusOK)
	require.Equal(t, `attachment; filename="`+sealed.Get("request")+`.csv"`, back.header.Get("Content-Disposition"))
	lines := strings.Split(string(back.body), "\n")
	require.Equal(t, "\ufeffticket,user,reason,result,why", lines[0])
	require.Equal(t, "'=1+1,1,,done,", lines[1])
	require.Equal(t, ",2,own words,done,", lines[2])
	require.Contains(t, lines[4], ",x7,,invalid,")
	require.Contains(t, lines[5], ",9,,refused,")

	b.send(revokeList, sealed).isPage(http.StatusOK)
	again := b.upload(revokeList, list, fraud)
	require.Contains(t, readable(again.body), "Done before by the same upload, and not done again: 3 rows.")
	require.NotContains(t, string(again.body), `id="confirm"`)
	require.Len(t, w.user(1).State.Acts, 1, "sent again, it is done once")
}

// A file may take longer to come than other requests may, and be answered later.
func TestAFileMayComeSlowly(t *testing.T) {
	inBothVersions(t, func(t *testing.T, version func(*world)) {
		w := newWorld(t, acting, version, func(w *world) {
			w.cfg.pace.read, w.cfg.pace.request, w.cfg.pace.write = time.Second, time.Second, time.Millisecond
			w.cfg.pace.file = patience
		})
		w.grantTo(1)
		r := newBrowser(w).uploading(revokeList, "1\n", fraud)
		r.token, r.pause = w.tokens[RoleOperator], 2500*time.Millisecond
		page := w.ask(r)
		page.isPage(http.StatusOK)
		require.Contains(t, readable(page.body), "Revoke (fraud), sorry-2022: 1 of the 1 rows of bots.csv.")
	})
}

// killed is a ledger that fails after some calls, as that of a desk that dies.
type killed struct {
	acts.Ledger
	left *int
}

func (k killed) Do(ctx context.Context, todo []ledger.UserAct, dry bool) ([]ledger.ActResult, error) {
	if !dry {
		if *k.left == 0 {
			return make([]ledger.ActResult, len(todo)), errors.New("killed")
		}
		*k.left--
	}
	return k.Ledger.Do(ctx, todo, dry)
}

// A desk that dies in the middle: the same upload does what is left, and what was done is not done twice.
func TestAListThatStoppedIsContinued(t *testing.T) {
	left := 1
	w := newWorld(t, acting, func(w *world) {
		whole := w.cfg.Acts
		w.cfg.Acts = func(c *grant.Campaign) (*acts.Doer, error) {
			d, err := whole(c)
			if err == nil {
				d.Ledger = killed{d.Ledger, &left}
			}
			return d, err
		}
	})
	var list strings.Builder
	const users = 5001 // one more than are done at a time
	for i := range users {
		list.WriteString(grant.NumberID(uint64(i)).String() + "\n")
	}
	b, path := w.signedIn(w.tokens[RoleOperator]), "/users/lists/acts/sorry-2022/note"
	reason := url.Values{"reason": {"was called"}}
	stopped := b.send(path, carried(b.upload(path, list.String(), reason)))
	stopped.isPage(http.StatusServiceUnavailable)
	require.Contains(t, readable(stopped.body), "PARTIAL: 5,000 rows done")
	require.Contains(t, readable(stopped.body), "Go on with what is left")
	left = -1
	page := b.upload(path, list.String(), reason)
	require.Contains(t, readable(page.body), "1 of the 5,001 rows")
	require.Contains(t, readable(page.body), "Done before by the same upload, and not done again: 5,000 rows.")
	done := b.send(path, carried(page))
	require.Contains(t, readable(done.body), "SUCCESS: 5,001 rows done")
	require.Len(t, w.user(0).State.Notes, 1)
	require.Len(t, w.user(users-1).State.Notes, 1)
}

func TestAForgedListIsNotDone(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	b := w.signedIn(w.tokens[RoleOperator])
	sealed := carried(b.upload(revokeList, "2\n", fraud))
	for name, value := range map[string]string{
		"file": packed([]byte("1\n2\n")), "seal": "", "reason": "y", "revocation": "mistake", "time": "2022-01-01T00:00",
	} {
		forged := url.Values{}
		for field := range sealed {
			forged.Set(field, sealed.Get(field))
		}
		forged.Set(name, value)
		page := b.send(revokeList, forged)
		page.isPage(http.StatusOK)
		require.Contains(t, readable(page.body), "This will happen", name)
		require.Empty(t, w.user(2).State.Acts, name)
	}
	b.visit(http.MethodPost, revokeList, sealed, "Sec-Fetch-Site", "cross-site").isPage(http.StatusForbidden)
	b.upload(revokeList, "2\n", fraud, "Sec-Fetch-Site", "cross-site").isPage(http.StatusForbidden)
	other := w.signedIn(w.tokens[RoleSupport])
	other.upload(revokeList, "2\n", fraud).isPage(http.StatusForbidden)
	require.NotContains(t, string(other.form("/users/lists").body), "sorry-2022/revoke")
	require.Empty(t, w.user(2).State.Acts)
	newBrowser(w).upload(revokeList, "2\n", fraud).isPage(http.StatusUnauthorized)
}

func TestAFileThatCannotBeTakenSaysWhy(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	b := w.signedIn(w.tokens[RoleOperator])
	var wide []byte
	for _, unit := range utf16.Encode([]rune("\ufeffuser,reason\r\n2,부정\r\n")) {
		wide = binary.LittleEndian.AppendUint16(wide, unit)
	}
	for name, c := range map[string]struct {
		file   string
		fields url.Values
		status int
		says   string
	}{
		"UTF-16":        {string(wide), fraud, http.StatusOK, "1 of the 1 rows"},
		"one a line":    {"1\r\n2\r\n", fraud, http.StatusOK, "2 of the 2 rows"},
		"nobody":        {"user,reason\n", fraud, http.StatusUnprocessableEntity, "names no user"},
		"empty":         {"", fraud, http.StatusUnprocessableEntity, "names no user"},
		"a spreadsheet": {"PK\x03\x04\x14\x00\x06", fraud, http.StatusUnprocessableEntity, "save it as CSV"},
		"CP949":         {"user,reason\n2,\xba\xce\xc1\xa4\n", fraud, http.StatusOK, "not UTF-8"},
		"quotes":        {"1\n\"2\n", fraud, http.StatusUnprocessableEntity, "line 2"},
		"many bytes": {
			strings.Repeat("x", maxListForm), fraud, http.StatusRequestEntityTooLarge, "granter revoke --users FILE",
		},
		"bytes":     {strings.Repeat("1", maxListFile+1), fraud, http.StatusRequestEntityTooLarge, "more than 2 MiB"},
		"many rows": {strings.Repeat("1\n", maxListRows+1), fraud, http.StatusRequestEntityTooLarge, "has 50001 rows"},
		"no reason": {"2\n", url.Values{"revocation": {"fraud"}}, http.StatusUnprocessableEntity, "say why"},
		"no kind":   {"2\n", url.Values{"reason": {"x"}}, http.StatusUnprocessableEntity, "want mistake, fraud or request"},
	} {
		page := b.upload(revokeList, c.file, c.fields)
		require.Equal(t, c.status, page.status, name)
		require.Contains(t, readable(page.body), c.says, name)
	}
	none := b.send(revokeList, fraud)
	none.isPage(http.StatusBadRequest)
	require.Contains(t, readable(none.body), "choose it again")
	require.Empty(t, w.user(2).State.Acts)
	b.upload("/users/lists/acts/sorry-2022/explode", "2\n", fraud).isPage(http.StatusNotFound)
}

// Of a list whose reading cannot be recorded nothing is shown; what is shown is recorded with the reason.
func TestADryRunOfAListIsARead(t *testing.T) {
	log := &readLog{}
	w := newWorld(t, acting, func(w *world) { w.cfg.Reads = log })
	w.grantTo(2)
	b := w.signedIn(w.tokens[RoleOperator])
	b.upload(revokeList, "2\nx\n", fraud).isPage(http.StatusOK)
	require.Equal(t, "case 12", log.last.Why)
	require.Equal(t, grant.NumberIDs(2), log.last.Users)
	log.err = errors.New("disk full")
	require.GreaterOrEqual(t, b.upload(revokeList, "2\n", fraud).status, http.StatusInternalServerError)
}

type readLog struct {
	last accesslog.Access
	err  error
}

func (l *readLog) Record(_ context.Context, a accesslog.Access) error {
	l.last = a
	return l.err
}

// A list that is beyond what one person may do is proposed, and approved by another one.
func TestAListAboveTheLimitWaitsForASecondPerson(t *testing.T) {
	ruled := aCampaign()
	ruled.Approval = &grant.Approval{Above: 1, Within: time.Hour}
	token, line, err := NewToken("b-operator", RoleOperator)
	require.NoError(t, err)
	w := newWorld(t, acting, func(w *world) {
		w.cfg.Campaign = ruled
		w.allow(w.accessLine(RoleOperator) + line)
	})
	w.grantTo(1, 2)
	mine, other := w.signedIn(w.tokens[RoleOperator]), w.signedIn(token)
	page := mine.upload(revokeList, "1\n2\n", fraud)
	require.Contains(t, readable(page.body), "It takes two people")
	sealed := carried(page)
	proposed := mine.send(revokeList, sealed)
	require.Contains(t, readable(proposed.body), "PROPOSED: nothing was done yet; 2 rows wait for a second person.")
	require.Empty(t, w.user(1).State.Acts)
	decide := carried(other.form("/users/waiting"))
	decide.Set("decision", "approve")
	decide.Set("reason", "checked")
	require.Contains(t, readable(other.send("/users/waiting", decide).body), "Approved and done: 2 of 2 users.")
	after := mine.send(revokeList, sealed)
	require.Contains(t, readable(after.body), "SUCCESS: 2 rows done")
	require.Len(t, w.user(1).State.Acts, 1)
}

// Why a row, or a single act, is not done is in the language of the page, and for programs a code.
func TestWhyARowIsNotDoneIsInTheReadersLanguage(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	b := w.signedIn(w.tokens[RoleOperator])
	page := readable(b.upload(revokeList, "user\n1\nx7\n9\n", fraud, "Accept-Language", "ko-KR").body)
	require.Contains(t, page, "읽을 수 없는 줄입니다.")
	require.Contains(t, page, "지급된 적이 없는 사용자입니다.")
	require.Contains(t, page, "the user has not been granted", "what the error says is behind it")
	fields := carried(b.form("/users/9/acts/sorry-2022/revoke"))
	fields.Set("reason", "x")
	fields.Set("revocation", "fraud")
	one := b.visit(http.MethodPost, "/users/9/acts/sorry-2022/revoke", fields, "Accept-Language", "ko-KR")
	require.Contains(t, readable(one.body), "아무것도 실행하지 않았습니다: 지급된 적이 없는 사용자입니다.")
	var r acts.Report
	w.act(RoleOperator, `{"act":"exclude","users":["2"],"reason":"x"}`).into(&r)
	require.Equal(t, grant.WhyGranted, r.Results[0].Code)
}
