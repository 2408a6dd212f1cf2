//go:build integration

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

var serveKills = flag.Int("serve-kills", 3, "how often granter claims serve is killed on each database")

// Owners who hand in, send documents, answer, object and change accounts while granter claims serve is killed again and again,
// and PostgreSQL is: whatever was acknowledged is in the database once, and documents and files agree.
func TestWhatOwnersWereToldSurvivesKills(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		ownersAndKills(t, filepath.Join(t.TempDir(), "claims.db"), nil)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		server := devtest.StartPostgres(t, "fsync=on")
		ownersAndKills(t, server.URL, server)
	})
}

// openNow is the shipped programme in days in which everything is open.
func openNow(t *testing.T) string {
	t.Helper()
	text := string(storetest.Source(t))
	day := func(d time.Duration) string { return time.Now().Add(d).UTC().Format("2006-01-02") }
	windows := fmt.Sprintf("windows:\n  - {name: reports, kind: report, from: %s, until: %s}\n"+
		"  - {name: documents, kind: documents, from: %[1]s, until: %[2]s}\n"+
		"  - {name: objections, kind: objection, from: %[1]s, until: %[2]s}\n\n",
		day(-48*time.Hour)+"T00:00:00", day(48*time.Hour)+"T23:59:59")
	text = regexp.MustCompile(`(?s)windows:\n.*?\n\n`).ReplaceAllString(text, windows)
	path := filepath.Join(t.TempDir(), "programme.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func ownersAndKills(t *testing.T, database string, postgres *devtest.Postgres) {
	const owners = 6 // at once
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	page := l.Addr().String()
	require.NoError(t, l.Close())
	folder, programme := filepath.Join(t.TempDir(), "documents"), openNow(t)
	serve := func() *process {
		p := start(t, command{args: []string{
			"claims", "serve", "--database", database, "--programme", programme, "--page", page, "--listen", "off",
			"--documents", folder, "--proxied",
		}})
		p.awaitOutput("serving the owner's page at (\\S+)/ until")
		return p
	}
	p := serve()
	s, err := store.Open(t.Context(), database, "")
	require.NoError(t, err)
	defer s.Close()
	j := &ownersJournal{t: t, s: s, url: "http://" + page, acks: make(chan struct{}, 1000), claims: map[string]*ownersClaim{}}
	ctx, done := context.WithCancel(t.Context())
	defer done()
	var group sync.WaitGroup
	for range owners {
		group.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				j.owner()
			}
		})
	}
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for kill := range *serveKills {
		j.await(20 + r.IntN(40))
		if postgres != nil && kill%4 == 2 { // beneath it; it goes on by itself
			postgres.Kill()
			j.awaitRefusals(3)
			postgres.Restart()
			require.True(t, p.running(), "%s", p.err.String())
			continue
		}
		p.kill()
		p = serve()
	}
	j.await(40)
	done()
	group.Wait()
	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait(), "%s", p.err.String())
	if !t.Failed() {
		j.check(folder)
	}
}

// ownersClaim is what an owner was told.
type ownersClaim struct {
	unit                           string
	documents                      []string // digests
	accounts                       []string
	handedIn, answered, objections int
}

// ownersJournal is what all owners were told.
type ownersJournal struct {
	t    *testing.T
	s    *store.Store
	url  string
	acks chan struct{}

	mu      sync.Mutex
	n       int
	bytes   int64
	claims  map[string]*ownersClaim
	refused map[int]int // answers that said to try again, or that something is wrong, by status
}

func (j *ownersJournal) await(acks int) {
	limit := time.After(patience)
	for range acks {
		select {
		case <-j.acks:
		case <-limit:
			require.FailNow(j.t, "owners are told nothing any more")
		}
	}
}

func (j *ownersJournal) awaitRefusals(n int) {
	before := j.refusals()
	await(j.t, "owners are told to try again", func() bool { return j.refusals() >= before+n })
}

func (j *ownersJournal) refusals() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.refused[503]
}

// told notes that an owner was told that something was done.
func (j *ownersJournal) told(note func()) {
	j.mu.Lock()
	note()
	j.mu.Unlock()
	select {
	case j.acks <- struct{}{}:
	default: // nobody waits
	}
}

var kindsOfDocuments = []string{"small_business_confirmation", "proof_of_sales_damage", "proof_of_service_use"}

// owner is one from the first page on.
func (j *ownersJournal) owner() {
	j.mu.Lock()
	j.n++
	i := j.n
	j.mu.Unlock()
	o := newKilledOwner(j, i)
	c := &ownersClaim{unit: storetest.Number(i).String()}
	o.answers(i)
	o.until("/claim/check", nil, func() bool { return o.found(`id="number">([^<]+)<`) != "" })
	number := o.found(`id="number">([^<]+)<`)
	j.told(func() { c.handedIn++; j.claims[number] = c })
	for k := range 1 + i%3 {
		name, data := aDocument(j.t, i, k)
		o.upload(kindsOfDocuments[k], name, data)
		sum := sha256.Sum256(data)
		j.told(func() { c.documents = append(c.documents, hex.EncodeToString(sum[:])); j.bytes += int64(len(data)) })
	}
	account := fmt.Sprintf("110-999-%06d", i)
	o.open("/claim/account")
	o.until("/claim/account", []string{"bank", "088", "account", account}, o.done("account"))
	j.told(func() { c.accounts = append(c.accounts, account) })
	if i%2 == 0 {
		lee := store.Actor{Name: "lee", Duty: claims.Reviewer}
		j.staff(number, store.Step{Action: claims.Ask, By: lee, Reason: "the sales of June?"})
		o.open("/claim")
		o.until("/claim/reply", []string{"text", fmt.Sprint("답 ", i)}, o.done("reply"))
		j.told(func() { c.answered++ })
		return
	}
	j.staff(number, store.Step{
		Action: claims.Decline, By: store.Actor{Name: "park", Duty: claims.Approver}, Reason: "no loss",
		Change: store.Change{Declined: claims.Reasons()[0]},
	})
	o.open("/claim/objection")
	o.until("/claim/objection", []string{"text", fmt.Sprint("이의 ", i)}, o.done("objection"))
	j.told(func() { c.objections++ })
}

// staff does something to a claim, as often as it takes.
func (j *ownersJournal) staff(number string, do store.Step) {
	await(j.t, "staff can do something", func() bool {
		list, err := j.s.Get(j.t.Context(), number)
		if err != nil {
			return false
		}
		c := list[0]
		steps := []store.Step{{Claim: c, Action: claims.Check, By: store.Rules}}
		if c.State != claims.Received {
			steps = nil
		}
		do.Claim = c
		err = j.s.Commit(j.t.Context(), append(steps, do), nil)
		if err == nil {
			return true
		}
		list, failed := j.s.Get(j.t.Context(), number) // its answer may be lost
		return failed == nil && list[0].State != claims.Received && list[0].State != claims.Checking
	})
}

// aDocument is one of a kind, some of them near the limit of size.
func aDocument(t *testing.T, i, k int) (name string, data []byte) {
	t.Helper()
	var b bytes.Buffer
	picture := image.NewGray(image.Rect(0, 0, 10+i%300, 10+k))
	switch k {
	case 0:
		fmt.Fprintf(&b, "%%PDF-1.7\n%% %d\n", i)
		size := 1000
		if i%5 == 0 {
			size = documents.MaxFile - 100
		}
		b.Write(bytes.Repeat([]byte{byte(i)}, size))
		b.WriteString("\n%%EOF\n")
		return "a.pdf", b.Bytes()
	case 1:
		require.NoError(t, jpeg.Encode(&b, picture, nil))
		return "b.jpg", fmt.Appendf(b.Bytes(), "%d", i)
	default:
		require.NoError(t, png.Encode(&b, picture))
		return "c.png", fmt.Appendf(b.Bytes(), "%d", i)
	}
}

// check compares what owners were told with what is there.
func (j *ownersJournal) check(folder string) {
	t, ctx := j.t, j.t.Context()
	proof, err := j.s.Prove(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
	require.Equal(t, len(j.claims), proof.Claims, "each was told of, and none was made of a form that came again")
	told := 0
	for number, c := range j.claims {
		list, err := j.s.Get(ctx, number)
		require.NoError(t, err)
		require.Equal(t, c.unit, list[0].Unit.String())
		kept, err := j.s.Documents(ctx, number)
		require.NoError(t, err)
		digests := make([]string, len(kept))
		for i := range kept {
			digests[i] = kept[i].Digest
		}
		require.ElementsMatch(t, c.documents, digests, number)
		told += len(digests)
		person, err := j.s.Person(ctx, number)
		require.NoError(t, err)
		require.Equal(t, c.accounts[len(c.accounts)-1], person.Account)
		history, err := j.s.History(ctx, number)
		require.NoError(t, err)
		did := map[claims.Action]int{}
		for i := range history {
			did[history[i].Action]++
		}
		require.Equal(t, map[claims.Action]int{
			claims.HandIn: c.handedIn, store.AddDocument: len(c.documents), store.ChangeAccount: len(c.accounts),
			claims.Complete: c.answered, claims.Object: c.objections,
		}, map[claims.Action]int{
			claims.HandIn: did[claims.HandIn], store.AddDocument: did[store.AddDocument],
			store.ChangeAccount: did[store.ChangeAccount], claims.Complete: did[claims.Complete],
			claims.Object: did[claims.Object],
		}, number)
	}
	keeper := documents.NewKeeper(j.s, documents.Folder(folder), nil)
	files, err := keeper.Compare(ctx, time.Now())
	require.NoError(t, err)
	require.Empty(t, files.Wrong)
	require.Equal(t, told, files.Documents)
	require.Equal(t, j.bytes, files.Bytes)
	swept, err := keeper.Sweep(ctx, time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, documents.Swept{Deleted: files.Orphans}, *swept)
	for status := range j.refused {
		require.Equal(t, 503, status, "owners are told to try again, and nothing else: %v", j.refused)
	}
	t.Logf("%d claims, %d documents of %d bytes, %d files of dead processes, %v times told to try again", len(j.claims), told,
		files.Bytes, files.Orphans, j.refused)
}
