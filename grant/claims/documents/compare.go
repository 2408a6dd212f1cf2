package documents

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/granter/granter/grant/claims/store"
)

// youngFor is how long a file may be there of which the database does not know: a document is put before the database is told.
const youngFor = time.Hour

// Swept is what a look at all files did.
type Swept struct {
	Deleted int // files of nobody
	Missing int // documents whose file is not there
}

// Sweep deletes what no claim has any more, an hour after it was put: the files of claims that were erased, and what processes
// left that died while they took a document in, whole or half. It counts the documents that are not where they should be, and
// fails with ErrOther, before it deletes anything, when the files are another database's.
func (k *Keeper) Sweep(ctx context.Context, now time.Time) (*Swept, error) {
	out := &Swept{}
	if err := k.Bind(ctx); err != nil || !k.bound.Load() {
		return out, err
	}
	known, err := k.Store.Blobs(ctx) // before files are looked at: what is put from now on is young
	if err != nil {
		return out, err
	}
	list, err := k.Blobs.List()
	if err != nil {
		return out, k.failed(err)
	}
	for i := range list {
		b := &list[i]
		if !b.Half && known[b.Name] {
			delete(known, b.Name)
			continue
		}
		if b.At.After(now.Add(-youngFor)) {
			continue
		}
		if err := k.Blobs.Delete(b.Name); err != nil {
			return out, k.failed(err)
		}
		out.Deleted++
	}
	if len(known) == 0 {
		return out, nil
	}
	still, err := k.Store.Blobs(ctx) // some may have been erased meanwhile
	for name := range known {
		if still[name] {
			out.Missing++
		}
	}
	return out, err
}

// Compared is what a comparison of the documents that claims have with the files that are there found.
type Compared struct {
	Documents int   `json:"documents"` // that claims have, each of which is opened with its key
	Bytes     int64 `json:"bytes"`     // of them
	Missing   int   `json:"missing"`   // whose file is not there
	Altered   int   `json:"altered"`   // that cannot be opened, or are not what was sent
	Orphans   int   `json:"orphans"`   // files that no claim has
	Young     int   `json:"young"`     // of them those of the last hour, which may be on their way to a claim

	Wrong []store.Finding `json:"-"` // of each that is missing or altered
}

// Compare opens every document of every claim, and looks for files that no claim has. It changes nothing, and may run while
// documents are taken in and erased. It reads all of them, at the speed of the disk or of decryption.
func (k *Keeper) Compare(ctx context.Context, now time.Time) (*Compared, error) {
	out := &Compared{}
	if _, _, err := k.owner(ctx); err != nil {
		return nil, err
	}
	list, err := k.Store.EveryDocument(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := k.compare(ctx, &list[i], out); err != nil {
			return nil, err
		}
	}
	files, err := k.Blobs.List()
	if err != nil {
		return nil, err
	}
	known, err := k.Store.Blobs(ctx) // after files are looked at: what was put before has come to its claim
	if err != nil {
		return nil, err
	}
	for i := range files {
		if b := &files[i]; b.Half || !known[b.Name] {
			out.Orphans++
			if b.At.After(now.Add(-youngFor)) {
				out.Young++
			}
		}
	}
	return out, nil
}

// compare opens one document.
func (k *Keeper) compare(ctx context.Context, doc *store.Kept, out *Compared) error {
	data, err := k.open(ctx, doc)
	if err == nil && int64(len(data)) != doc.Size {
		err = fmt.Errorf("it has %d bytes, and had %d", len(data), doc.Size)
	}
	switch {
	case err == nil:
		out.Documents++
		out.Bytes += doc.Size
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case store.Passing(err) && store.KindOf(err) != store.ErrorFiles: // the database, so nothing is known
		return err
	}
	now, findErr := k.find(ctx, doc.Claim, doc.Digest)
	if findErr != nil || now == nil || now.Blob != doc.Blob { // it was erased meanwhile
		return findErr
	}
	out.Documents++
	var what string
	switch _, keyErr := k.Store.Key(ctx, doc.Claim, ""); {
	case !errors.Is(err, store.ErrNotFound):
		out.Altered++
		what = "cannot be opened as what was sent: " + err.Error()
	case keyErr != nil:
		out.Altered++
		what = "cannot be opened: its key is gone"
	default:
		out.Missing++
		what = "is missing: it has no file " + doc.Blob
	}
	out.Wrong = append(out.Wrong, store.Finding{Claim: doc.Claim, What: fmt.Sprintf("document %.12s %s", doc.Digest, what)})
	return nil
}
