package audit

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
)

// What an entry of a journal is. An audit reads it by docs/ledger.md and the layout in grant/ledger, and not by the ledger's
// code: a test holds both against each other.
type kind byte

const (
	kindGrant   kind = 1 // by the flush of a run
	kindTake    kind = 3 // an item was taken: in a list of its own, see takes.go
	kindHand    kind = 5 // by an act
	kindExclude kind = 6 // settled, and without the grant, by an act

	// About users who are settled already.
	kindRevoke    kind = 2
	kindReinstate kind = 4
	kindExtend    kind = 7
	kindMove      kind = 8
	kindRecall    kind = 9
	kindNote      kind = 10
	kindErase     kind = 11
)

// settles reports whether the members of such an entry are in no other one that does.
func (k kind) settles() bool { return k == kindGrant || k == kindHand || k == kindExclude }

func (k kind) acts() bool {
	return k == kindHand || k == kindExclude || k == kindRevoke || k == kindReinstate || k >= kindExtend && k <= kindErase
}

// span is some offsets of a partition, both included.
type span struct {
	partition   int
	first, last int64
}

// entry is one entry, without its members.
type entry struct {
	kind   kind
	at     int64 // Unix milliseconds
	run    uint64
	flush  uint64
	count  int
	spans  []span
	act    []byte // JSON
	spread members
}

var errCutOff = errors.New("it is cut off")

// read reads an entry of a chunk as it is stored. Its spans use the memory of the one before.
func (e *entry) read(text []byte) error {
	if len(text) < 15 {
		return errCutOff
	}
	e.kind, e.at = kindGrant, timeOf(text)
	rest := text[7:]
	switch text[0] {
	case 1:
	case 2:
		e.kind, rest = kind(text[7]), text[8:]
	default:
		return fmt.Errorf("it is of version %d, and this granter knows 1 and 2: use a newer one", text[0])
	}
	rest, err := e.head(rest)
	if err != nil {
		return err
	}
	return e.spread.read(rest, e.count)
}

// timeOf is when an entry was appended.
func timeOf(text []byte) int64 { return int64(binary.BigEndian.Uint64(text[:8]) >> 8 & (1<<48 - 1)) }

// head reads what is between the kind and the members, and returns these.
func (e *entry) head(rest []byte) ([]byte, error) {
	if e.kind != kindGrant && !e.kind.acts() {
		return nil, fmt.Errorf("it is of kind %d, which this granter does not know: use a newer one", e.kind)
	}
	n := e.origin(rest)
	if e.act = nil; e.kind.acts() {
		e.act = n.bytes(int(n.next()))
	}
	if n.short {
		return nil, errCutOff
	}
	if e.kind.acts() && !json.Valid(e.act) {
		return nil, errors.New("the act behind it is no JSON")
	}
	return n.rest, nil
}

// origin reads by whom an entry is, and from which records, and returns what is behind that.
func (e *entry) origin(rest []byte) (n numbers) {
	if len(rest) < 8 {
		return numbers{short: true}
	}
	e.run = binary.BigEndian.Uint64(rest)
	n.rest = rest[8:]
	n.next() // shard
	e.flush = n.next()
	e.count = int(n.next())
	ranges := n.next()
	if ranges > uint64(len(n.rest)) {
		return numbers{short: true}
	}
	e.spans = e.spans[:0]
	for range ranges {
		partition, first, more := n.next(), n.next(), n.next()
		e.spans = append(e.spans, span{int(partition), int64(first), int64(first + more)})
	}
	return n
}

// readTake reads an entry of a list of takes, and returns the index of the item in the spec.
func (e *entry) readTake(text []byte) (item int, err error) {
	if len(text) < 16 {
		return 0, errCutOff
	}
	if e.kind = kind(text[7]); text[0] != 2 || e.kind != kindTake {
		return 0, fmt.Errorf("it is of version %d and kind %d, and this granter knows version 2 and kind 3: use a newer one",
			text[0], e.kind)
	}
	e.at, e.act = timeOf(text), nil
	n := e.origin(text[8:])
	if item = int(n.next()); n.short {
		return 0, errCutOff
	}
	return item, e.spread.read(n.rest, e.count)
}

// numbers reads unsigned varints.
type numbers struct {
	rest  []byte
	short bool
}

func (n *numbers) next() uint64 {
	v, size := binary.Uvarint(n.rest)
	if size <= 0 {
		n.short, n.rest = true, nil
		return 0
	}
	n.rest = n.rest[size:]
	return v
}

func (n *numbers) bytes(size int) []byte {
	if size < 0 || size > len(n.rest) {
		n.short, n.rest = true, nil
		return nil
	}
	out := n.rest[:size]
	n.rest = n.rest[size:]
	return out
}

// members are the users of an entry: a Roaring bitmap in the portable format, with one container of key 0.
type members struct {
	array bool     // they are in lows, and page is not theirs: most entries of a trickle have one member
	lows  []uint16 // ascending
	page  page
}

func (m *members) each(fn func(low uint16)) {
	if !m.array {
		m.page.each(fn)
		return
	}
	for _, low := range m.lows {
		fn(low)
	}
}

// into adds the members to a page.
func (m *members) into(p *page) {
	if !m.array {
		p.or(&m.page)
		return
	}
	for _, low := range m.lows {
		p.set(low)
	}
}

// join adds the members to a page, and returns those that it had already; nil: none.
func (m *members) join(p *page) (had *page) {
	if !m.array {
		had = m.among(p)
		p.or(&m.page)
		return had
	}
	for _, low := range m.lows {
		word, mask := place(low)
		if p[word]&mask != 0 {
			if had == nil {
				had = new(page)
			}
			had[word] |= mask
		}
		p[word] |= mask
	}
	return had
}

// among returns the members that a page has; nil: none.
func (m *members) among(p *page) (out *page) {
	if !m.array {
		if out = p.both(&m.page); *out == (page{}) {
			return nil
		}
		return out
	}
	m.each(func(low uint16) {
		if p.has(low) {
			if out == nil {
				out = new(page)
			}
			out.set(low)
		}
	})
	return out
}

const (
	cookieRuns = 12347
	cookieNone = 12346
)

func (m *members) read(b []byte, count int) error {
	m.array = false
	if len(b) < 9 {
		return errCutOff
	}
	le, runs := binary.LittleEndian, binary.LittleEndian.Uint32(b) == cookieRuns
	head, body := b[5:9], b[9:]
	switch {
	case runs && b[4] == 1:
	case le.Uint32(b) == cookieNone && len(b) >= 16 && le.Uint32(b[4:]) == 1 && le.Uint32(b[12:]) == 16:
		head, body = b[8:12], b[16:]
	default:
		return errors.New("its members are no Roaring bitmap with one container")
	}
	if key, n := le.Uint16(head), int(le.Uint16(head[2:]))+1; key != 0 || n != count {
		return fmt.Errorf("it says that it has %d members, and its container of key %d has %d", count, key, n)
	}
	var err error
	switch {
	case !runs && count <= 4096:
		return m.readArray(body, count)
	case runs:
		err = m.readRuns(body)
	default:
		err = m.readBits(body)
	}
	if n := m.page.count(); err == nil && n != int64(count) {
		err = fmt.Errorf("it says that it has %d members, and has %d", count, n)
	}
	return err
}

func (m *members) readArray(b []byte, count int) error {
	if len(b) != 2*count {
		return errCutOff
	}
	m.array, m.lows = true, m.lows[:0]
	for ; len(b) > 0; b = b[2:] {
		low := binary.LittleEndian.Uint16(b)
		if n := len(m.lows); n > 0 && low <= m.lows[n-1] {
			return errors.New("its members are not in order")
		}
		m.lows = append(m.lows, low)
	}
	return nil
}

func (m *members) readBits(b []byte) error {
	if len(b) != pageBytes {
		return errCutOff
	}
	for i := range m.page { // their bit 0 is the lowest of word 0
		m.page[i] = bits.Reverse64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return nil
}

func (m *members) readRuns(b []byte) error {
	if len(b) < 2 || len(b) != 2+4*int(binary.LittleEndian.Uint16(b)) {
		return errCutOff
	}
	clear(m.page[:])
	end := -1
	for b = b[2:]; len(b) > 0; b = b[4:] {
		first := int(binary.LittleEndian.Uint16(b))
		last := first + int(binary.LittleEndian.Uint16(b[2:]))
		if first <= end || last >= 1<<chunkBits {
			return errors.New("its runs are not in order")
		}
		m.page.fill(first, last)
		end = last
	}
	return nil
}

// fill sets the bits from first to last.
func (p *page) fill(first, last int) {
	for i := first >> 6; i <= last>>6; i++ {
		w := ^uint64(0)
		if i == first>>6 {
			w &= ^uint64(0) >> (first & 63)
		}
		if i == last>>6 {
			w &= ^uint64(0) << (63 - last&63)
		}
		p[i] |= w
	}
}
