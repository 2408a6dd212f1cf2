package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
)

// reportFiles are the files that an audit leaves.
type reportFiles struct {
	key, report, previous string
	receipts              bool

	signer   note.Signer
	verifier note.Verifier
	made     *audit.Tree
	part     *os.File // of the receipts, until they have their name
	left     string   // the receipts that the audit before left; a newer report replaces them
}

// signedReport is a report as it is in its file.
type signedReport struct {
	text   []byte
	report *audit.Report
	named  time.Time // by the name of its file, where that has one: not before the report's
}

// receiptsSuffix is behind the name of a report.
const receiptsSuffix = ".receipts"

func (f *reportFiles) validate() error {
	switch {
	case f.key == "" && f.report != "":
		return errors.New("--report is signed: name the key by --key (granter audit keygen makes one)")
	case f.key != "" && f.report == "":
		return errors.New("--key signs a report: say where to leave it by --report")
	case f.receipts && f.report == "", f.previous != "" && f.report == "":
		return errors.New("--receipts and --previous change nothing without --report")
	case f.key == "":
		return nil
	case f.previous != "" && f.directory():
		return errors.New("--previous changes nothing beside a directory, whose last report is the one before")
	}
	var err error
	f.signer, f.verifier, err = audit.Signer(f.key)
	return err
}

// directory reports whether each audit gets a file of its own.
func (f *reportFiles) directory() bool {
	return strings.HasSuffix(f.report, string(filepath.Separator)) || isDirectory(f.report)
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// lockName is a file in a directory of reports. Whoever audits holds it, so that each report names the one before.
const lockName = ".audit.lock"

// lock waits until no other audit is about to leave a report in the same directory.
func (f *reportFiles) lock(ctx context.Context, stderr io.Writer) (release func(), err error) {
	if f.report == "" || !f.directory() {
		return func() {}, nil
	}
	if err := os.MkdirAll(f.report, 0o750); err != nil {
		return nil, usageError(err)
	}
	lock := flock.New(filepath.Join(f.report, lockName))
	got, err := lock.TryLock()
	if err == nil && !got {
		fmt.Fprintf(stderr, "granter: another audit is about to leave its report in %s: waiting for it\n", f.report)
		_, err = lock.TryLockContext(ctx, lockAsked)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: reports that are chained need a directory that can be locked: %w", f.report, err)
	}
	if err := f.sweep(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}

// sweep removes what audits that were killed have left of receipts: it is as secret as those, and of no use. Whoever has the lock
// is alone in the directory.
func (f *reportFiles) sweep() error {
	left, err := filepath.Glob(filepath.Join(f.report, receiptsPart))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// receiptsPart is what a file of receipts is called until it is whole.
const receiptsPart = ".receipts-*.part"

// lockAsked is how often a lock that another audit has is asked for.
const lockAsked = 200 * time.Millisecond

// before returns the report before the one that is to be made; nil: there is none.
func (f *reportFiles) before(campaign string) (*signedReport, error) {
	name := f.previous
	if f.report != "" && f.directory() {
		var err error
		if name, err = audit.Newest(f.report, campaign, audit.ReportSuffix); err != nil {
			return nil, err
		}
	}
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, usageError(err)
	}
	r, err := audit.Open(text, f.verifier)
	if err == nil && r.Campaign != campaign {
		err = fmt.Errorf("it is of campaign %s", r.Campaign)
	}
	if err != nil {
		return nil, usageError(fmt.Errorf("the report before, %s: %w: begin a new chain elsewhere, if that is meant", name, err))
	}
	named := r.At
	if at, ok := audit.NamedAt(name, campaign, audit.ReportSuffix); ok && at.After(named) {
		named = at
	}
	return &signedReport{text, r, named}, nil
}

// tree is what the report is to commit to. Whoever got one calls discard.
func (f *reportFiles) tree(c *grant.Campaign) (_ *audit.Tree, err error) {
	if f.report == "" {
		return nil, nil
	}
	f.made = &audit.Tree{Users: f.receipts}
	if !f.receipts {
		return f.made, nil
	}
	rand.Read(f.made.Salt[:]) // it never returns an error (Go 1.24)
	dir := filepath.Dir(f.report)
	if f.directory() {
		dir = f.report
	}
	if f.part, err = os.CreateTemp(dir, receiptsPart); err != nil { // for its owner only
		return nil, usageError(err)
	}
	f.made.Receipts, err = audit.NewReceiptsWriter(f.part, c, f.made.Salt)
	return f.made, err
}

// discard removes what was not finished.
func (f *reportFiles) discard() {
	if f.part != nil {
		f.part.Close()
		os.Remove(f.part.Name()) //nolint:errcheck // nobody wants it
		f.part = nil
	}
}

// write signs a report and leaves its files. It returns what to tell people.
func (f *reportFiles) write(r *audit.Report, before *signedReport, spec *grant.Campaign, lang string) (said string, err error) {
	if f.report == "" {
		return "", nil
	}
	if before != nil {
		r.Follows(before.text, before.report)
	}
	signed, err := r.Sign(f.signer)
	if err != nil {
		return "", err
	}
	name := f.report
	if f.directory() { // which are in order by their names
		at := r.At
		if before != nil && !at.After(before.named) { // the clock was set back
			at = before.named.Add(time.Millisecond)
		}
		name = filepath.Join(f.report, audit.FileName(r.Campaign, at))
	}
	err = create(name, 0o644, func(file *os.File) error { _, err := file.Write(signed); return err })
	if err == nil {
		err = create(name+".html", 0o644, func(file *os.File) error {
			return r.Page(file, lang, audit.Name(signed), f.verifier.Name())
		})
	}
	if err == nil && f.receipts {
		err = f.finishReceipts(r, spec, name+receiptsSuffix)
	}
	if err != nil {
		return "", fmt.Errorf("the report: %w", err)
	}
	return fmt.Sprintf("\nsigned by %s: %s, and %s.html to print\nSHA-256 %s\n",
		f.verifier.Name(), name, name, audit.Name(signed)), nil
}

// finishReceipts gives the file of receipts its name. Of all that one process leaves with --follow the last one stays: receipts
// that were made by others are good without them.
func (f *reportFiles) finishReceipts(r *audit.Report, spec *grant.Campaign, name string) error {
	err := errors.Join(f.made.Receipts.Finish(r, spec), f.part.Sync())
	if err == nil {
		err = os.Link(f.part.Name(), name) // which never replaces another file, as renaming would
	}
	f.discard()
	if err == nil && f.left != "" {
		err = os.Remove(f.left)
	}
	f.left = name
	return err
}

// create writes a file that was not there before: a report is never written over.
func create(name string, mode os.FileMode, write func(*os.File) error) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: name another file, or a directory", name)
	}
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Sync(), file.Close())
}
