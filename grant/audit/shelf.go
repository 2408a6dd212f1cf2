package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/granter/granter/grant"
)

// What the files of a directory of reports are called: CAMPAIGN-TIME.report, and the same with more behind it.
const (
	ReportSuffix   = ".report"
	ReceiptsSuffix = ReportSuffix + ".receipts"

	fileTime = "20060102T150405.000Z"
)

// FileName is what a report of a directory is called.
func FileName(campaign string, at time.Time) string {
	return campaign + "-" + at.UTC().Format(fileTime) + ReportSuffix
}

// NamedAt is the time in the name of a file of a campaign; false: it has none.
func NamedAt(path, campaign, suffix string) (time.Time, bool) {
	name, of := strings.CutSuffix(filepath.Base(path), suffix)
	text, is := strings.CutPrefix(name, campaign+"-")
	at, err := time.Parse(fileTime, text)
	return at, of && is && err == nil
}

// Newest returns the last file of a campaign in a directory that ends so; empty: there is none.
func Newest(dir, campaign, suffix string) (string, error) {
	all, err := newest(dir, suffix)
	if name := all[campaign]; name != "" {
		return filepath.Join(dir, name), nil
	}
	return "", err
}

// Campaigns are those that a directory has receipts of.
func Campaigns(dir string) ([]string, error) {
	all, err := newest(dir, ReceiptsSuffix)
	return sortedKeys(all), err
}

// newest returns the last file of each campaign that ends so. A directory that is not there yet has none.
func newest(dir, suffix string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	out := map[string]string{}
	for _, e := range entries {
		name, of := strings.CutSuffix(e.Name(), suffix)
		campaign := max(len(name)-len("-")-len(fileTime), 0) // names of campaigns have hyphens, too, and may begin alike
		_, timeErr := time.Parse("-"+fileTime, name[campaign:])
		if of && timeErr == nil {
			out[name[:campaign]] = max(out[name[:campaign]], e.Name())
		}
	}
	return out, err
}

// Shelf makes receipts by the newest report of each campaign in a directory. It is safe for concurrent use.
type Shelf struct {
	dir string

	mu   sync.RWMutex
	open map[string]*shelved // by campaign
}

type shelved struct {
	*Receipts

	name   string
	err    error
	looked time.Time
}

// lookEvery is how long it may take until a newer report is seen.
const lookEvery = time.Second

// NewShelf makes the shelf of a directory, which need not be there yet. The caller closes it.
func NewShelf(dir string) *Shelf { return &Shelf{dir: dir, open: map[string]*shelved{}} }

// ErrNoReceipts means that no audit left receipts of a campaign.
var ErrNoReceipts = errors.New("no audit of this campaign has left receipts: granter audit --report DIR --receipts makes them")

// Of makes a receipt.
func (s *Shelf) Of(campaign string, user grant.UserID) (*Receipt, error) {
	s.mu.RLock()
	found := s.open[campaign]
	if found == nil || time.Since(found.looked) > lookEvery {
		s.mu.RUnlock()
		s.look(campaign)
		s.mu.RLock()
		found = s.open[campaign]
	}
	defer s.mu.RUnlock() // nobody closes the file meanwhile
	switch {
	case found == nil:
		return nil, ErrNoReceipts
	case found.err != nil:
		return nil, found.err
	}
	return found.Receipts.Of(user)
}

// Has reports whether there are receipts of a campaign.
func (s *Shelf) Has(campaign string) bool {
	name, err := Newest(s.dir, campaign, ReceiptsSuffix)
	return err == nil && name != ""
}

// look opens the newest file of a campaign.
func (s *Shelf) look(campaign string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.open[campaign]
	name, err := Newest(s.dir, campaign, ReceiptsSuffix)
	switch {
	case err == nil && name == "":
		err = ErrNoReceipts
	case err == nil && before != nil && before.err == nil && before.name == name:
		before.looked = time.Now()
		return
	}
	now := &shelved{name: name, err: err, looked: time.Now()}
	if err == nil {
		now.Receipts, now.err = OpenReceipts(name)
	}
	if now.err == nil && now.Campaign != campaign {
		now.err = errors.Join(fmt.Errorf("%s: it is of campaign %s", name, now.Campaign), now.Close())
	}
	if before != nil && before.err == nil {
		now.err = errors.Join(now.err, before.Close())
	}
	s.open[campaign] = now
}

// Close closes all files.
func (s *Shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, r := range s.open {
		if r.err == nil {
			err = errors.Join(err, r.Close())
		}
	}
	clear(s.open)
	return err
}
