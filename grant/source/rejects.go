package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/granter/granter/grant"
)

// sample is the part of a rejected record that should hold an ID, quoted, as far as a person reads.
func (p *partition) sample(l *deadLetter) string {
	field := l.Holder(&p.cfg.Topic)
	return strconv.Quote(string(field[:min(len(field), 60)]))
}

// maxLetters is how many rejected records are held at once. A small compressed batch may inflate to millions.
const maxLetters = 8192

// maxHeld is the same in bytes of keys and values; the last one may go beyond.
const maxHeld = 64 << 20

var errLettersFull = errors.New("rejected records must be stored before more are read")

// errFirstRejected ends the reading at a rejected record when none is tolerated.
var errFirstRejected = errors.New("none may be rejected")

// storeRejected makes this fetch's rejected records durable. If there are so many that the topic or the spec is wrong, it
// stores the last few only, for people to look at, and fails: the run stops instead of copying the topic.
func (p *partition) storeRejected(ctx context.Context) error {
	tooMany := p.breaker.pass(p.added, p.letters)
	if p.cfg.IgnoreLimit {
		tooMany = nil
	}
	if tooMany != nil {
		p.letters = p.letters[max(0, len(p.letters)-floodSamples):]
	}
	if !p.cfg.Pass.Private {
		left := p.letters
		err := p.retry(ctx, "storing rejected records", func() error { return p.dead.write(ctx, p.number, &left) })
		switch {
		case err != nil && tooMany != nil:
			//nolint:errorlint // it was tried again already
			return fmt.Errorf("%w; samples could not be stored: %v", tooMany, err)
		case err != nil:
			return &permanent{err} // it has been tried for long enough
		}
	}
	for i := range p.letters {
		l := &p.letters[i]
		p.cfg.Observer.Rejected(grant.Reject{
			Partition: p.number, Offset: l.offset, Reason: string(l.reason), Value: p.sample(l),
		})
	}
	clear(p.letters)
	p.letters, p.held = p.letters[:0], 0
	if tooMany != nil {
		return fmt.Errorf("%w; %s has samples", tooMany, p.Samples())
	}
	return nil
}
