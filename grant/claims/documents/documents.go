// Package documents keeps what owners send as evidence. What is no document of the few kinds that are taken is refused with a
// reason, and nothing of it stays; what is taken is looked at for malware and kept encrypted, with a key for each claim, so that
// without the
// key nobody reads it again. Nothing that was sent is ever executed or shown as a page.
package documents

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// Blobs keeps bytes by name. A name is the hex SHA-256 of what is kept under it; so putting it again changes nothing.
type Blobs interface {
	// Put returns when the bytes survive a power failure; after an error nothing is there.
	Put(name string, data []byte) error
	Get(name string) ([]byte, error)
	// Delete of what is not there is no error.
	Delete(name string) error
	// List are all that are there, also those that are not whole.
	List() ([]Blob, error)
	// Owner is the database whose documents they are; empty: nobody's yet.
	Owner() (database string, err error)
	// Own says whose they are from now on.
	Own(database string) error
}

// ErrOther means that what is kept are the documents of another database: here they would be deleted as nobody's, and there ours.
var ErrOther = errors.New("the folder has the documents of another database: name the one that it belongs to, or give this one " +
	"a folder of its own")

// Scanner looks for malware. Its name for what it found is empty when it found nothing; an error means that it could not look.
type Scanner interface {
	Scan(ctx context.Context, data []byte) (found string, err error)
}

// The limits of what a claim may have.
const (
	MaxFile  = 10 << 20 // bytes: a photograph of a phone has 2 to 6 MiB
	MaxFiles = 20
	MaxAll   = 60 << 20
)

// How a document stands towards malware.
const (
	Clean       = "clean"
	NotScanned  = "not_scanned"      // no scanner is configured
	Quarantined = store.InQuarantine // the scanner is away
)

// atOnce bounds the memory of those that are looked at, of a few times their size: 4 × 4 × 10 MiB.
const atOnce = 4

// Keeper takes documents in and gives them out. It is safe for concurrent use.
type Keeper struct {
	Store   *store.Store
	Blobs   Blobs
	Scanner Scanner // nil: none is configured

	turns chan struct{}
	bound atomic.Bool
}

// NewKeeper returns a keeper; a nil scanner looks at nothing.
func NewKeeper(s *store.Store, b Blobs, scanner Scanner) *Keeper {
	return &Keeper{Store: s, Blobs: b, Scanner: scanner, turns: make(chan struct{}, atOnce)}
}

// Accepts reports whether documents can be added to a claim in a state.
func Accepts(s claims.State) bool {
	switch s {
	case claims.Received, claims.Checking, claims.DocumentsMissing, claims.Asked, claims.OnHold, claims.InReview,
		claims.BeforeCouncil, claims.Objected, claims.ObjectionBeforeCouncil:
		return true
	default:
		return false
	}
}

// Sent is a document as somebody sends it.
type Sent struct {
	Kind string // which of the programme's documents it is
	// Redacts is the digest of the owner's document of which it is the version for the council, by a reviewer; empty: it is the
	// owner's.
	Redacts string
	Name    string // of the file: looked at, and not kept
	Body    io.Reader
	By      store.Actor
}

// Add takes a document in. It fails with a RefusedError that says what is wrong with it; then nothing is kept. A document that is
// there
// already is there once. Claim is read anew when somebody else changed it meanwhile.
func (k *Keeper) Add(ctx context.Context, claim *store.Claim, s Sent) (*store.Kept, error) {
	select {
	case k.turns <- struct{}{}:
		defer func() { <-k.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !Accepts(claim.State) {
		return nil, &RefusedError{Code: Late, What: fmt.Sprintf("a claim in state %s takes no documents", claim.State)}
	}
	data, err := io.ReadAll(io.LimitReader(s.Body, MaxFile+1))
	if err != nil {
		return nil, &RefusedError{Code: CutOff, What: "it did not come whole", Err: err}
	}
	kind, err := Inspect(s.Name, data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	doc := store.Document{
		Kind:    s.Kind,
		Type:    kind,
		Size:    int64(len(data)),
		Digest:  hex.EncodeToString(sum[:]),
		Scan:    NotScanned,
		Redacts: s.Redacts,
	}
	switch before, err := k.find(ctx, claim.ID, doc.Digest); {
	case err == nil && before != nil && before.Redacts != doc.Redacts:
		return nil, &RefusedError{
			Code: NotRedacted,
			What: "it is byte for byte a document that the claim has: nothing is blackened in it",
		}
	case err != nil || before != nil:
		return before, err
	}
	if k.Scanner != nil {
		switch found, err := k.Scanner.Scan(ctx, data); {
		case found != "":
			return nil, &RefusedError{Code: Malware, What: "it holds malware: " + found}
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			doc.Scan = Quarantined
		default:
			doc.Scan = Clean
		}
	}
	return k.keep(ctx, claim, &doc, data, s.By)
}

func (k *Keeper) find(ctx context.Context, claim, digest string) (*store.Kept, error) {
	list, err := k.Store.Documents(ctx, claim)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Digest == digest {
			return &list[i], nil
		}
	}
	return nil, nil
}

// Bind fails with ErrOther when the documents of another database are where this one's should be. Nobody's are this one's from
// now on; but a database without claims is bound later.
func (k *Keeper) Bind(ctx context.Context) error {
	if k.bound.Load() {
		return nil
	}
	database, owner, err := k.owner(ctx)
	if err != nil || database == "" {
		return err
	}
	if owner == "" {
		if err := k.Blobs.Own(database); err != nil {
			return k.failed(err)
		}
		if _, _, err := k.owner(ctx); err != nil { // somebody else may have been faster
			return err
		}
	}
	k.bound.Store(true)
	return nil
}

// owner returns the database that this is, and whose the documents are that are there.
func (k *Keeper) owner(ctx context.Context) (database, owner string, err error) {
	if database, err = k.Store.Identity(ctx); err != nil || database == "" {
		return "", "", err
	}
	owner, err = k.Blobs.Owner()
	switch {
	case err != nil:
		return "", "", k.failed(err)
	case owner != "" && owner != database:
		return "", "", fmt.Errorf("%w (it is of %.12s…, this is %.12s…)", ErrOther, owner, database)
	}
	return database, owner, nil
}

// failed notes that the place of documents does not work.
func (k *Keeper) failed(err error) error {
	err = &store.FilesError{Err: err}
	k.Store.Failed(err)
	return err
}

// finishWithin is how long a document takes at most that has come whole, whoever waits for the answer or does not any more.
const finishWithin = time.Minute

// keep encrypts a document, puts it in its place, and then says that it is there.
func (k *Keeper) keep(
	ctx context.Context,
	claim *store.Claim,
	doc *store.Document,
	data []byte,
	by store.Actor,
) (*store.Kept, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	if err := k.Bind(ctx); err != nil {
		return nil, err
	}
	sealed, err := k.seal(ctx, claim.ID, data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(sealed)
	kept := store.Kept{Document: *doc, Claim: claim.ID, Blob: hex.EncodeToString(sum[:]), Quarantined: doc.Scan == Quarantined}
	if err := k.Blobs.Put(kept.Blob, sealed); err != nil {
		return nil, k.failed(fmt.Errorf("keeping a document of claim %s: %w", claim.ID, err))
	}
	err = k.again(ctx, claim, func() error {
		if !Accepts(claim.State) {
			return &RefusedError{Code: Late, What: fmt.Sprintf("a claim in state %s takes no documents", claim.State)}
		}
		return k.Store.AddDocument(ctx, claim, kept, MaxFiles, MaxAll, by)
	})
	if errors.Is(err, store.ErrFull) {
		err = &RefusedError{Code: Full, What: err.Error()}
	}
	if err != nil {
		return k.notAdded(ctx, claim.ID, &kept, err)
	}
	return &kept, nil
}

// notAdded sees to a file that was put when the database did not say that it has the document. It may have it all the same, when
// its answer was lost; then a file that is deleted is a document that is lost, and one that stays is deleted by Sweep, if it is
// nobody's.
func (k *Keeper) notAdded(ctx context.Context, claim string, kept *store.Kept, why error) (*store.Kept, error) {
	there, err := k.find(ctx, claim, kept.Digest)
	if err == nil && there != nil {
		if there.Blob == kept.Blob {
			return there, nil
		}
		return there, k.Blobs.Delete(kept.Blob) // it was sent twice at the same time
	}
	if _, refused := errors.AsType[*RefusedError](why); refused || store.Undone(why) {
		why = errors.Join(why, k.Blobs.Delete(kept.Blob))
	}
	return nil, why
}

// again does something to a claim and, when somebody else was first, to the claim as it is then.
func (k *Keeper) again(ctx context.Context, claim *store.Claim, do func() error) error {
	for range 5 {
		err := do()
		if _, conflict := errors.AsType[*store.ConflictError](err); !conflict {
			return err
		}
		now, err := k.Store.Get(ctx, claim.ID)
		if err != nil {
			return err
		}
		*claim = *now[0]
	}
	return do()
}

func (k *Keeper) seal(ctx context.Context, claim string, data []byte) ([]byte, error) {
	fresh, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	secret, err := k.Store.Key(ctx, claim, fresh.String())
	if err != nil {
		return nil, err
	}
	identity, err := age.ParseX25519Identity(secret)
	if err != nil {
		return nil, fmt.Errorf("the key of claim %s cannot be read", claim) // without the key
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, identity.Recipient())
	if err != nil {
		return nil, err
	}
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil { // which writes the end
		return nil, err
	}
	return out.Bytes(), nil
}

// Open returns a document of a claim, by its digest. store.ErrNotFound: the claim has none of it, or it was erased. A document in
// quarantine is given to nobody.
func (k *Keeper) Open(ctx context.Context, claim, digest string) (*store.Kept, []byte, error) {
	doc, err := k.find(ctx, claim, digest)
	if err != nil {
		return nil, nil, err
	}
	if doc == nil {
		return nil, nil, fmt.Errorf("document %.12s of claim %s: %w", digest, claim, store.ErrNotFound)
	}
	if doc.Quarantined {
		return nil, nil, &RefusedError{Code: InQuarantine, What: "nobody has looked at it for malware yet"}
	}
	data, err := k.open(ctx, doc)
	if err != nil {
		err = fmt.Errorf("document %.12s of claim %s: %w", digest, claim, err)
	}
	return doc, data, err
}

func (k *Keeper) open(ctx context.Context, doc *store.Kept) ([]byte, error) {
	secret, err := k.Store.Key(ctx, doc.Claim, "")
	if err != nil {
		return nil, err
	}
	identity, err := age.ParseX25519Identity(secret)
	if err != nil {
		return nil, errors.New("its key cannot be read") // without the key
	}
	sealed, err := k.Blobs.Get(doc.Blob)
	if err != nil {
		return nil, k.failed(err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != doc.Digest {
		return nil, errors.New("it is not what was sent")
	}
	return data, nil
}

// Scanned is what a pass over the quarantine did.
type Scanned struct {
	Clean   int    `json:"clean"`
	Malware int    `json:"malware"`
	Waiting int    `json:"waiting"` // the scanner is still away
	Away    string `json:"away,omitempty"`
}

// Rescan looks at what is in quarantine. What is clean counts from now on; what is not is removed, and history says so.
func (k *Keeper) Rescan(ctx context.Context) (*Scanned, error) {
	out := &Scanned{}
	list, err := k.Store.Quarantined(ctx, 1000)
	if err != nil {
		return out, err
	}
	var errs []error // of one document, which keeps no other one waiting
	for i := range list {
		if k.Scanner == nil || out.Away != "" {
			out.Waiting++
			continue
		}
		if err := k.rescan(ctx, &list[i], out); err != nil {
			errs = append(errs, fmt.Errorf("document %.12s of claim %s: %w", list[i].Digest, list[i].Claim, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return out, errors.Join(errs...)
}

func (k *Keeper) rescan(ctx context.Context, doc *store.Kept, out *Scanned) error {
	data, err := k.open(ctx, doc)
	if err != nil {
		return err
	}
	found, err := k.Scanner.Scan(ctx, data)
	if err != nil {
		out.Away = err.Error()
		out.Waiting++
		return ctx.Err()
	}
	list, err := k.Store.Get(ctx, doc.Claim)
	if err != nil {
		return err
	}
	claim := list[0]
	if found == "" {
		doc.Scan = Clean
		out.Clean++
		return k.again(ctx, claim, func() error { return k.Store.Release(ctx, claim, *doc, store.Rules) })
	}
	out.Malware++
	why := fmt.Sprintf("document %.12s was removed: it holds malware (%s)", doc.Digest, found)
	if err := k.again(ctx, claim, func() error { return k.Store.Reject(ctx, claim, *doc, store.Rules, why) }); err != nil {
		return err
	}
	return k.Blobs.Delete(doc.Blob)
}
