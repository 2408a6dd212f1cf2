package userid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/granter/granter/grant"
)

// maxLine bounds a line, and with it the memory that a list without line ends takes.
const maxLine = 4096

// chunkSize is how much of a list is read at a time; there are two chunks, so that one is read while the other is
// parsed.
const chunkSize = 256 << 10

// byteOrderMark begins the lists that some spreadsheets export.
var byteOrderMark = []byte("\ufeff")

// ErrBadLine says that a list holds a line that is not a user ID. The error is a *LineError.
var ErrBadLine = errors.New("bad line")

// LineError is a line that is not a user ID.
type LineError struct {
	Line    int64  // counted from 1
	Text    string // the line, or its beginning
	Problem string
}

// Error says which line is wrong, and why. What to do depends on what the list is for.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %q: %s", e.Line, e.Text, e.Problem) }

// Unwrap returns ErrBadLine.
func (e *LineError) Unwrap() error { return ErrBadLine }

// List reads a list: one decimal user ID a line, with LF or CRLF line ends, the last one optional. It holds two chunks and
// a line in memory, however long the list. The first bad line (blank, not decimal, above the limit) ends it with a
// *LineError after the IDs before it.
//
// Reading happens in a goroutine that begins with the first Next and ends with the list or that call's context. If the
// context ends while the reader blocks, as a terminal can, the goroutine stays until that read returns.
type List struct {
	r       io.Reader
	limit   uint64
	form    *Form       // of IDs that are not dense; nil: they are
	member  []byte      // of the last of those
	chunks  chan chunk  // read, to be parsed
	spare   chan []byte // parsed, to be read into
	current chunk
	rest    []byte // of current, not parsed yet
	begun   []byte // a line that began in an earlier chunk
	line    int64
	err     error
}

type chunk struct {
	data []byte
	err  error
}

// ReadList returns the list that r holds. IDs are bounded by a topic's max_id, where 0 is no limit of its own.
func ReadList(r io.Reader, maxID uint64) *List { return &List{r: r, limit: Limit(maxID)} }

// ReadListOf returns the list that r holds of the users of a topic.
func ReadListOf(r io.Reader, in *grant.Input) *List {
	l := ReadList(r, in.MaxID)
	if in.Opaque() {
		form := FormOf(in)
		l.form = &form
	}
	return l
}

// Each hands every ID of the list to fn, in its order. It fails with a *LineError at the first line that is not one.
func (l *List) Each(ctx context.Context, fn func(id grant.UserID)) error {
	ctx, stop := context.WithCancel(ctx) // what reads ahead ends with this call, also after a bad line
	defer stop()
	for ids := make([]grant.UserID, 1024); ; {
		n, err := l.Next(ctx, ids)
		for _, id := range ids[:n] {
			fn(id)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Line returns how many lines have been read.
func (l *List) Line() int64 { return l.line }

// Next fills dst with at least one ID and returns how many: what the list has ready, rather than wait for more. IDs that
// come together with an error, io.EOF at the end, are part of the list; every later call repeats the error. Next returns
// soon after ctx ends. Calls must not overlap.
func (l *List) Next(ctx context.Context, dst []grant.UserID) (int, error) {
	if l.chunks == nil {
		l.start(ctx)
	}
	n := 0
	for n < len(dst) && l.err == nil {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			if n > 0 && l.current.err == nil {
				return n, nil
			}
			n += l.advance(ctx, dst[n:])
			continue
		}
		line := l.rest[:end]
		l.rest = l.rest[end+1:]
		if len(l.begun) > 0 {
			l.begun = append(l.begun, line...)
			line = l.begun
		}
		n += l.parse(line, dst[n:])
		l.begun = l.begun[:0]
	}
	if n > 0 && n == len(dst) {
		return n, nil
	}
	return n, l.err
}

// advance waits for the next chunk, or at the end of the list takes a last line that has no line end.
func (l *List) advance(ctx context.Context, dst []grant.UserID) (n int) {
	l.begun = append(l.begun, l.rest...)
	l.rest = nil
	if len(l.begun) > maxLine {
		l.line++
		l.err = tooLong(l.line, l.begun)
		return 0
	}
	if err := l.current.err; err != nil {
		if !errors.Is(err, io.EOF) {
			l.err = fmt.Errorf("reading the list after line %d: %w", l.line, err)
			return 0
		}
		if len(l.begun) > 0 && !(l.line == 0 && bytes.Equal(l.begun, byteOrderMark)) {
			n = l.parse(l.begun, dst)
		}
		if l.err == nil {
			l.err = io.EOF
		}
		return n
	}
	if l.current.data != nil {
		l.spare <- l.current.data
	}
	select {
	case l.current = <-l.chunks:
		l.rest = l.current.data
	case <-ctx.Done():
		l.err = context.Cause(ctx)
	}
	return 0
}

func (l *List) parse(line []byte, dst []grant.UserID) int {
	l.line++
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if l.line == 1 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	if l.form != nil {
		return l.parseMember(line, dst)
	}
	id, fault := Decimal(line, l.limit)
	switch {
	case fault == "":
		dst[0] = grant.NumberID(id)
		return 1
	case len(line) > maxLine:
		l.err = tooLong(l.line, line)
	default:
		l.err = &LineError{Line: l.line, Text: excerpt(line), Problem: l.problem(fault)}
	}
	return 0
}

func (l *List) parseMember(line []byte, dst []grant.UserID) int {
	var fault Fault
	l.member, fault = l.form.Member(l.member[:0], line)
	switch {
	case fault == "":
		dst[0] = l.form.ID(l.member)
		return 1
	case fault == Empty:
		l.err = &LineError{Line: l.line, Text: excerpt(line), Problem: l.problem(fault)}
	default:
		l.err = &LineError{Line: l.line, Text: excerpt(line), Problem: fmt.Sprintf("want %s (%s)", l.form.want(), fault)}
	}
	return 0
}

// problem says what a fault means in a list.
func (l *List) problem(fault Fault) string {
	switch fault {
	case Empty:
		return "the line is blank"
	case LeadingZero:
		return "a user ID has no leading zeros"
	case OverLimit:
		return "above the limit of " + strconv.FormatUint(l.limit, 10)
	default:
		return "not a decimal user ID"
	}
}

func (l *List) start(ctx context.Context) {
	l.chunks = make(chan chunk)
	l.spare = make(chan []byte, 2)
	l.spare <- make([]byte, chunkSize)
	l.spare <- make([]byte, chunkSize)
	go func() {
		for {
			var c chunk
			select {
			case c.data = <-l.spare:
			case <-ctx.Done():
				return
			}
			n, err := l.r.Read(c.data[:chunkSize])
			c.data, c.err = c.data[:n], err
			select {
			case l.chunks <- c:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

func tooLong(n int64, line []byte) error {
	return &LineError{Line: n, Text: excerpt(line), Problem: fmt.Sprintf("longer than %d bytes", maxLine)}
}

// excerpt shortens a line for an error message.
func excerpt(line []byte) string {
	if len(line) > 64 {
		return string(line[:64]) + "…"
	}
	return string(line)
}
