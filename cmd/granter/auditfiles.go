package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant/audit"
)

// reportFiles are the files that an audit leaves.
type reportFiles struct {
	key, report, previous string
	receipts              bool

	signer   note.Signer
	verifier note.Verifier
	made     *audit.Tree
}

// signedReport is a report as it is in its file.
type signedReport struct {
	text   []byte
	report *audit.Report
}

const (
	reportSuffix   = ".report"
	receiptsSuffix = ".receipts"
)

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
	info, err := os.Stat(f.report)
	return strings.HasSuffix(f.report, string(filepath.Separator)) || err == nil && info.IsDir()
}

// before returns the report before the one that is to be made; nil: there is none.
func (f *reportFiles) before(campaign string) (*signedReport, error) {
	name := f.previous
	if f.report != "" && f.directory() {
		all, err := filepath.Glob(filepath.Join(f.report, campaign+"-*"+reportSuffix))
		if err != nil || len(all) == 0 {
			return nil, err
		}
		name = slices.Max(all) // names have the time
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
	return &signedReport{text, r}, nil
}

// tree is what the report is to commit to.
func (f *reportFiles) tree() *audit.Tree {
	if f.report == "" {
		return nil
	}
	f.made = &audit.Tree{Users: f.receipts}
	if f.receipts {
		rand.Read(f.made.Salt[:]) // it never returns an error (Go 1.24)
	}
	return f.made
}

// write signs a report and leaves its files. It returns what to tell people.
func (f *reportFiles) write(r *audit.Report, before *signedReport, lang string) (said string, err error) {
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
	if f.directory() {
		if err := os.MkdirAll(f.report, 0o750); err != nil {
			return "", err
		}
		name = filepath.Join(f.report, r.Campaign+"-"+r.At.Format("20060102T150405.000Z")+reportSuffix)
	}
	err = create(name, 0o644, func(file *os.File) error { _, err := file.Write(signed); return err })
	if err == nil {
		err = create(name+".html", 0o644, func(file *os.File) error {
			return r.Page(file, lang, audit.Name(signed), f.verifier.Name())
		})
	}
	if err == nil && f.receipts {
		err = create(name+receiptsSuffix, 0o600, func(file *os.File) error { return r.WriteReceipts(file, f.made) })
	}
	if err != nil {
		return "", fmt.Errorf("the report: %w", err)
	}
	return fmt.Sprintf(
		"\nsigned by %s: %s, and %s.html to print\nSHA-256 %s\n",
		f.verifier.Name(),
		name,
		name,
		audit.Name(signed),
	), nil
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
