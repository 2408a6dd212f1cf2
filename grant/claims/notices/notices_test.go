package notices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store with claims, and a channel that keeps what it gets.
type world struct {
	*Sender
	t    *testing.T
	at   time.Time
	got  []Message
	fail func(*Message) error
	away error
}

func (w *world) Open(context.Context) error { return w.away }
func (w *world) Close() error               { return nil }

func (w *world) Send(_ context.Context, m *Message) error {
	if w.fail != nil {
		if err := w.fail(m); err != nil {
			return err
		}
	}
	w.got = append(w.got, *m)
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, p := storetest.Open(t)
	w := &world{t: t, at: time.Date(2023, 2, 20, 3, 0, 0, 0, time.UTC)}
	s.SetClock(func() time.Time { return w.at })
	w.Sender = &Sender{
		Store:     s,
		Programme: p,
		Channel:   w,
		Public:    "https://claims.example",
		Contact:   "1577-0000",
		Now:       func() time.Time { return w.at },
	}
	return w
}

func (w *world) file(i int, loss claims.Won, change func(*store.Filing)) *store.Claim {
	w.t.Helper()
	f := storetest.Filing(w.Programme, i, loss)
	f.Person.Email = "owner@example.com"
	if change != nil {
		change(&f)
	}
	_, err := w.Store.Receive(w.t.Context(), []store.Filing{f}, nil)
	require.NoError(w.t, err)
	list, err := w.Store.Get(w.t.Context(), f.ID)
	require.NoError(w.t, err)
	return list[0]
}

func (w *world) pass() *Sent {
	w.t.Helper()
	w.got = nil
	got, err := w.Pass(w.t.Context())
	require.NoError(w.t, err)
	return got
}

func (w *world) commit(steps ...store.Step) {
	w.t.Helper()
	require.NoError(w.t, w.Store.Commit(w.t.Context(), steps, nil))
}

// decided are the steps up to a decision by the rules.
func (w *world) decided(c *store.Claim) []store.Step {
	w.t.Helper()
	a, err := w.Programme.Assess(&c.Facts)
	require.NoError(w.t, err)
	p := w.Programme.Propose(&c.Facts, &a)
	change := store.Change{Assessment: &a, Proposal: &p}
	check := store.Step{Claim: c, Action: claims.Check, By: store.Rules}
	switch {
	case p.Declined != "":
		change.Declined = p.Declined
		return []store.Step{check, {Claim: c, Action: claims.Decline, By: store.Rules, Reason: p.Why, Change: change}}
	case p.Review:
		return []store.Step{check, {Claim: c, Action: claims.MissDocument, By: store.Rules, Reason: "x", Change: change}}
	default:
		change.Owed = &p.Pay
		return []store.Step{check, {Claim: c, Action: claims.Approve, By: store.Rules, Reason: p.Why, Change: change}}
	}
}

func TestOwnersAreToldOnceOfEachEventAndWhy(t *testing.T) {
	w := newWorld(t)
	c := w.file(1, 300_000, nil)
	english := w.file(2, 0, func(f *store.Filing) { f.Person.Language = "en" })
	require.Equal(t, &Sent{Made: 2, Sent: 2}, w.pass())
	w.commit(w.decided(c)...)
	w.commit(w.decided(english)...)
	require.Equal(t, &Sent{Made: 2, Sent: 2}, w.pass())
	require.Equal(t, &Sent{}, w.pass(), "once")
	w.commit(store.Step{Claim: c, Action: store.Identify, By: store.Rules, Change: store.Change{Identity: &store.Identity{
		Business: "active", Account: "verified", Complete: true}}})
	_, err := w.Store.Declare(t.Context(), w.Programme, 9, store.Actor{Name: "choi", Duty: claims.Payer})
	require.NoError(t, err)
	orders, err := w.Store.HandOver(t.Context(), w.Programme.Name, 0)
	require.NoError(t, err)
	_, err = w.Store.Answers(
		t.Context(),
		[]store.Answer{{ID: "r", Payment: orders[0].ID, Status: store.BankSettled, Amount: orders[0].Net}},
		nil,
	)
	require.NoError(t, err)
	w.pass()
	require.Len(t, w.got, 1)
	require.Equal(t, store.NoticePaid, w.got[0].Kind)
	require.Contains(t, w.got[0].Text, "받은 금액: 50,000원")

	require.NoError(t, w.Store.Resend(t.Context(), "c-000001/3/approved"))
	require.NoError(t, w.Store.Resend(t.Context(), "c-000002/3/declined"))
	w.pass()
	require.Len(t, w.got, 2)
	for _, m := range w.got {
		require.NotContains(t, m.Text, "123-0000", "no account stands in a message")
		require.Contains(t, m.Text, m.Claim)
	}
	ko, en := w.got[0], w.got[1]
	if ko.Claim != c.ID {
		ko, en = en, ko
	}
	require.Contains(t, ko.Subject, "지급하기로 결정했습니다")
	require.Contains(t, ko.Text, "금액: 50,000원")
	require.Contains(t, ko.Text, "매출 손실 300,000원 이상 500,000원 미만 → 50,000원")
	require.Contains(t, ko.Text, "https://claims.example/enter")
	require.Contains(t, en.Subject, "We have decided not to pay")
	require.Contains(t, en.Text, "there is no loss")
	require.Contains(t, en.Text, "You can object until 31 March 2023, 23:59.")
}

func TestWhatIsMissingAndUntilWhenIsSaidWhileItIsTrue(t *testing.T) {
	w := newWorld(t)
	c, done := w.file(1, 900_000, nil), w.file(2, 900_000, nil)
	w.commit(w.decided(c)...)
	w.pass()
	require.Contains(t, w.got[len(w.got)-1].Text+w.got[0].Text+w.got[1].Text, "- 소상공인 확인서\n- 매출 피해를 보여 주는 자료")
	w.at = time.Date(2023, 2, 24, 14, 59, 0, 0, time.UTC)
	require.Zero(t, w.pass().Sent)
	w.at = w.at.Add(time.Minute) // three days before the end
	w.commit(w.decided(done)...)
	w.commit(store.Step{Claim: done, Action: claims.Complete, By: store.Owner})
	got := w.pass()
	require.Equal(t, 1, got.Sent)
	require.Equal(t, 1, got.Dropped, "the documents had come before the owner was asked for them")
	require.Equal(t, store.NoticeDeadline, w.got[0].Kind)
	require.Contains(t, w.got[0].Text, "기한: 2023년 2월 27일 23:59")
	require.Zero(t, w.pass().Sent, "once")

	closes := time.Date(2023, 2, 28, 0, 0, 0, 0, w.Programme.Zone)
	_, err := w.Store.Extend(t.Context(), w.Programme, store.Extension{Window: "documents", Old: closes,
		New: closes.AddDate(0, 0, 46)}, store.Actor{Name: "oh", Duty: claims.Secretary}, "few have sent theirs")
	require.NoError(t, err)
	w.at = closes
	require.Zero(t, w.pass().Sent, "there is time again")
	w.at = closes.AddDate(0, 0, 43)
	require.Equal(t, 1, w.pass().Sent)
	require.Contains(t, w.got[0].Text, "기한: 2023년 4월 14일 23:59")
}

func TestTheOldContactIsToldOfAnotherAccount(t *testing.T) {
	w := newWorld(t)
	c := w.file(1, 100_000, nil)
	w.pass()
	p, err := w.Store.Person(t.Context(), c.ID)
	require.NoError(t, err)
	p.Email, p.Phone, p.Account = "thief@example.com", "010-9999-9999", "999-999999"
	require.NoError(t, w.Store.ChangePerson(t.Context(), c, *p, store.Owner, "another account"))
	w.pass()
	require.Len(t, w.got, 1)
	require.Equal(t, "owner@example.com", w.got[0].Email)
	require.NotContains(t, w.got[0].Text, "999")
}

// A sender that dies after it has sent, and before it has noted that, sends again, with the same ID; one that lives sends once.
func TestASenderThatDiesSendsAgainWithTheSameID(t *testing.T) {
	w := newWorld(t)
	w.file(1, 100_000, nil)
	ctx, die := context.WithCancel(t.Context())
	w.fail = func(*Message) error { die(); return nil }
	_, err := w.Pass(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, w.got, 1)
	first := w.got[0]
	w.fail = nil
	require.Zero(t, w.pass().Sent, "it may still be at it")
	w.at = w.at.Add(lease)
	require.Equal(t, &Sent{Sent: 1}, w.pass())
	require.Equal(t, first, w.got[0])
	w.at = w.at.Add(latest)
	require.Zero(t, w.pass().Sent)
}

func TestWhatCannotBeSentIsTriedAgainOrListed(t *testing.T) {
	w := newWorld(t)
	w.file(1, 100_000, nil)
	w.away = errors.New("no route")
	require.Equal(t, &Sent{Made: 1, Later: 1, Away: "no route"}, w.pass())
	w.away = nil
	require.Zero(t, w.pass().Sent, "not before its time")
	w.at = w.at.Add(soonest)
	for err, want := range map[error]store.NoticeState{
		ErrRefused: store.NoticeFailed, ErrNowhere: store.NoticeNowhere, nil: store.NoticeSent,
	} {
		w.fail = func(*Message) error { return err }
		w.pass()
		list, err := w.Store.Notices(t.Context(), store.NoticeFilter{})
		require.NoError(t, err)
		require.Equal(t, want, list[0].State)
		require.NoError(t, w.Store.Resend(t.Context(), list[0].ID))
	}
	w.fail = func(*Message) error { return errors.New("busy") }
	for range mostTries {
		w.pass()
		w.at = w.at.Add(latest)
	}
	list, err := w.Store.Notices(t.Context(), store.NoticeFilter{})
	require.NoError(t, err)
	require.Equal(t, store.NoticeFailed, list[0].State, "it is not tried for ever")
	require.Equal(t, "busy", list[0].Says)
}

// Who reported and did not file is reminded until when that can be done, once; not who has filed meanwhile, or was erased.
func TestWhoReportedIsReminded(t *testing.T) {
	w := newWorld(t)
	w.at = time.Date(2023, 2, 20, 9, 0, 0, 0, w.Programme.Zone)
	var rows []store.ReportRow
	for i := range 5 {
		rows = append(rows, store.ReportRow{
			Reported: store.Reported{Number: fmt.Sprint("2022-", i), Unit: storetest.Number(i), Loss: 350_000,
				At: time.Date(2022, 10, 20, 9, 0, 0, 0, w.Programme.Zone)},
			By: store.Reporter{Business: "가게", Phone: "010-1234-5678", Language: []string{"ko", "en"}[i%2]},
		})
	}
	kim := store.Actor{Name: "kim", Duty: claims.Intake}
	_, err := w.Store.ImportReports(t.Context(), w.Programme.Name, rows, store.ReportFile{Name: "r.csv", Rows: 5}, kim, false)
	require.NoError(t, err)
	w.file(4, 100_000, nil)
	w.pass()
	made, err := w.Store.RemindReporters(t.Context(), w.Programme.Name, kim, "a week is left", false)
	require.NoError(t, err)
	require.Equal(t, 4, made.Reports)
	w.file(2, 100_000, nil) // meanwhile
	require.NoError(t, w.Store.EraseReporter(t.Context(), w.Programme.Name, "2022-3", store.Actor{Name: "seo",
		Duty: claims.Privacy},
		"asked"))
	require.Equal(t, &Sent{Made: 1, Sent: 3, Dropped: 1}, w.pass())
	var texts []string
	for _, m := range w.got {
		if m.Report == "" {
			continue
		}
		require.Empty(t, m.Claim)
		require.Equal(t, "010-1234-5678", m.Phone)
		require.NotContains(t, m.Text, "350")
		texts = append(texts, m.Subject+"\n"+m.Text)
	}
	require.Len(t, texts, 2)
	require.Contains(t, texts[0], "신청 기한: 2023년 2월 27일")
	require.Contains(t, texts[0], "신고번호: 2022-0")
	require.Contains(t, texts[1], "You can claim until 27 February 2023")
	again, err := w.Store.RemindReporters(t.Context(), w.Programme.Name, kim, "a week is left", false)
	require.NoError(t, err)
	require.Zero(t, again.Reports)

	w.at = time.Date(2023, 3, 1, 0, 0, 0, 0, w.Programme.Zone) // the window is over
	require.NoError(t, w.Store.Resend(t.Context(), "report:outage-2022:2022-0"))
	require.Equal(t, &Sent{Dropped: 1}, w.pass())
}

func TestEveryKindHasWords(t *testing.T) {
	w := newWorld(t)
	c := w.file(1, 900_000, nil)
	w.commit(w.decided(c)...)
	history, err := w.Store.History(t.Context(), c.ID)
	require.NoError(t, err)
	korean := regexp.MustCompile(`\p{Hangul}`)
	for _, lang := range []string{"ko", "en"} {
		for _, kind := range store.NoticeKinds {
			m, err := w.render(&store.Notice{ID: "x", Claim: c.ID, Kind: kind}, c, history, &store.Person{Language: lang})
			require.NoError(t, err, kind)
			require.NotContains(t, m.Subject+m.Text, "{")
			said := strings.ReplaceAll(m.Subject+m.Text, w.Programme.Title, "") // which is a name
			require.Equal(t, lang == "ko", korean.MatchString(said), "%s in %s: %s", kind, lang, said)
			require.Greater(t, len(m.Text), 60)
		}
	}
}

// mailbox is a real SMTP server.
type mailbox struct {
	mu   sync.Mutex
	got  []*netmail.Message
	says error
}

func (m *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return session{m}, nil }

type session struct{ *mailbox }

func (session) Reset()                                 {}
func (session) Logout() error                          { return nil }
func (session) Mail(string, *smtp.MailOptions) error   { return nil }
func (s session) Rcpt(string, *smtp.RcptOptions) error { return s.says }
func (s session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	msg, err := netmail.ReadMessage(bytes.NewReader(data))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, msg)
	return err
}

func TestMailGoesByARealServer(t *testing.T) {
	box := &mailbox{}
	server := smtp.NewServer(box)
	server.AllowInsecureAuth = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	defer func() { require.NoError(t, server.Close()); <-ended }()
	w := newWorld(t)
	port := l.Addr().(*net.TCPAddr).Port
	w.Channel = &SMTP{Host: "127.0.0.1", Port: port, From: "claims@example.com", Plain: true}
	w.file(1, 100_000, nil)
	w.file(2, 100_000, func(f *store.Filing) { f.Person.Email = "" })
	require.Equal(t, &Sent{Made: 2, Sent: 1, Nowhere: 1}, w.pass())
	msg := box.got[0]
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	require.NoError(t, err)
	require.Contains(t, subject, "피해 지원 신청을 접수했습니다")
	body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	require.NoError(t, err)
	require.Contains(t, string(body), "접수번호: c-000001")
	require.NoError(t, w.Store.Resend(t.Context(), "c-000001/1/received"))
	w.pass()
	require.Equal(t, msg.Header.Get("Message-ID"), box.got[1].Header.Get("Message-ID"), "by which it is known again")

	box.says = &smtp.SMTPError{Code: 550, Message: "no such owner@example.com"}
	w.file(3, 100_000, nil)
	require.Equal(t, &Sent{Made: 1, Failed: 1}, w.pass())
	box.says = &smtp.SMTPError{Code: 451, Message: "later"}
	w.file(4, 100_000, nil)
	require.Equal(t, &Sent{Made: 1, Later: 1}, w.pass())
	box.says = nil
	w.at = w.at.Add(soonest)
	require.Equal(t, &Sent{Sent: 1}, w.pass())
	w.Channel = &SMTP{Host: "127.0.0.1", Port: port, From: "claims@example.com"}
	w.file(5, 100_000, nil)
	got := w.pass()
	require.Equal(t, 1, got.Later, "a server without TLS gets nothing")
	require.Contains(t, got.Away, "TLS")
}

func TestMessagesGoToAWebhook(t *testing.T) {
	var answers []int
	var got []*http.Request
	var bodies []Message
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var m Message
		_ = json.NewDecoder(r.Body).Decode(&m)
		got, bodies = append(got, r), append(bodies, m)
		rw.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer server.Close()
	w := newWorld(t)
	w.Channel = &Webhook{URL: server.URL, Secret: []byte(strings.Repeat("k", 32)), Client: &http.Client{}}
	w.file(1, 100_000, nil)
	answers = []int{503, 200}
	require.Equal(t, 1, w.pass().Later)
	w.at = w.at.Add(soonest)
	require.Equal(t, 1, w.pass().Sent)
	require.Equal(t, "c-000001/1/received", got[0].Header.Get("Webhook-Id"))
	require.Equal(t, got[0].Header.Get("Webhook-Id"), got[1].Header.Get("Webhook-Id"))
	require.True(t, strings.HasPrefix(got[1].Header.Get("Webhook-Signature"), "v1,"))
	require.Equal(t, "010-1234-0001", bodies[1].Phone)
	w.file(2, 100_000, nil)
	answers = []int{410}
	require.Equal(t, 1, w.pass().Failed)
}

func TestMessagesGoToATopic(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "notices"))
	require.NoError(t, err)
	defer cluster.Close()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	topic := NewTopic(cluster.ListenAddrs(), "notices", transport)
	w := newWorld(t)
	w.Channel = topic
	w.file(1, 100_000, nil)
	require.Equal(t, &Sent{Made: 1, Sent: 1}, w.pass())
	require.NoError(t, topic.Writer.Close())
	found := 0
	for partition := range 3 {
		client := &kafka.Client{Addr: kafka.TCP(cluster.ListenAddrs()...), Transport: transport}
		resp, err := client.Fetch(
			t.Context(),
			&kafka.FetchRequest{
				Topic:     "notices",
				Partition: partition,
				MinBytes:  0,
				MaxBytes:  1 << 20,
				MaxWait:   10 * time.Millisecond,
			},
		)
		require.NoError(t, err)
		for {
			record, err := resp.Records.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			var m Message
			require.NoError(t, json.NewDecoder(record.Value).Decode(&m))
			require.Equal(t, "c-000001", m.Claim)
			key, err := io.ReadAll(record.Key)
			require.NoError(t, err)
			require.Equal(t, "c-000001", string(key), "what is said of one claim stays in its order")
			require.Equal(t, []kafka.Header{{Key: "id", Value: []byte("c-000001/1/received")}}, record.Headers)
			found++
		}
	}
	require.Equal(t, 1, found)
}

// What chance has looked at again is told when somebody has looked: it may not stand.
func TestNobodyIsToldOfAnApprovalThatIsLookedAtAgain(t *testing.T) {
	w := newWorld(t)
	p, err := w.Store.Adopt(t.Context(),
		bytes.Replace(storetest.Source(t), []byte("second_look: 0%"), []byte("second_look: 100%"), 1))
	require.NoError(t, err)
	w.Programme = p
	c := w.file(1, 310_000, nil)
	w.pass()
	w.commit(w.decided(c)...)
	require.Equal(t, claims.SecondLook, c.State)
	require.Equal(t, &Sent{}, w.pass())
	kim := store.Actor{Name: "kim", Duty: claims.Reviewer}
	w.commit(store.Step{Claim: c, Action: claims.Confirm, By: kim, Reason: "it is right"})
	require.Equal(t, 1, w.pass().Sent)
	require.Equal(t, store.NoticeApproved, w.got[0].Kind)
	require.Contains(t, w.got[0].Text, "50,000원")
}
