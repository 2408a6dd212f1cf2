package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sort"

	"github.com/granter/granter/sharding/dense"
)

var (
	errShort    = errors.New("cut off")
	errTrailing = errors.New("something is left over")
	errOrder    = errors.New("not in ascending order")
)

// memberSet is the members of a journal entry as they are stored: a Roaring bitmap with one container, of key 0.
type memberSet struct {
	kind  memberKind
	count int
	body  []byte // of the container
}

type memberKind byte

const (
	memberArray memberKind = iota // 2 bytes a member, ascending
	memberRuns                    // their number in 2 bytes, then 4 bytes a run
	memberBits                    // 8 KiB
)

// openMembers finds the container, which must have the given number of members and nothing behind it. What is in it, only
// decode checks.
func openMembers(b []byte, count int) (m memberSet, err error) {
	if len(b) < 4 {
		return m, errShort
	}
	cookie := binary.LittleEndian.Uint32(b)
	runs := cookie == roaringRuns // one container: nothing in the high half
	var header []byte
	switch {
	case runs && len(b) >= 9:
		if b[4] != 1 {
			return m, fmt.Errorf("run flags %#x: want 1", b[4])
		}
		header, b = b[5:9], b[9:]
	case cookie == roaringNoRuns && len(b) >= containerOffset:
		if n := binary.LittleEndian.Uint32(b[4:]); n != 1 {
			return m, fmt.Errorf("%d containers: want 1", n)
		}
		if at := binary.LittleEndian.Uint32(b[12:]); at != containerOffset {
			return m, fmt.Errorf("container at byte %d: want %d", at, containerOffset)
		}
		header, b = b[8:12], b[containerOffset:]
	case runs || cookie == roaringNoRuns:
		return m, errShort
	default:
		return m, fmt.Errorf("cookie %d: not one Roaring container", cookie)
	}
	if key := binary.LittleEndian.Uint16(header); key != 0 {
		return m, fmt.Errorf("container of key %d: want 0", key)
	}
	if n := int(binary.LittleEndian.Uint16(header[2:])) + 1; n != count {
		return m, fmt.Errorf("%d in the container, %d in the entry", n, count)
	}
	m = memberSet{count: count, body: b}
	switch {
	case runs:
		if len(b) < 2 {
			return m, errShort
		}
		m.kind = memberRuns
		return m, wantBytes(b[2:], 4*int(binary.LittleEndian.Uint16(b)))
	case count <= roaringArrayMax:
		m.kind = memberArray
		return m, wantBytes(b, 2*count)
	default:
		m.kind = memberBits
		return m, wantBytes(b, roaringBitmapLen)
	}
}

// has reports whether one ID is a member. It looks at a few bytes only, whatever the container.
func (m *memberSet) has(low uint16) bool {
	switch m.kind {
	case memberBits:
		return m.body[low/8]>>(low%8)&1 == 1
	case memberArray:
		_, found := sort.Find(m.count, func(i int) int { return int(low) - int(binary.LittleEndian.Uint16(m.body[2*i:])) })
		return found
	default:
		runs := m.body[2:]
		// The run that begins behind low; the one before it is the only one that can hold it.
		after := sort.Search(len(runs)/4, func(i int) bool { return binary.LittleEndian.Uint16(runs[4*i:]) > low })
		if after == 0 {
			return false
		}
		run := runs[4*(after-1):]
		return low-binary.LittleEndian.Uint16(run) <= binary.LittleEndian.Uint16(run[2:])
	}
}

// decode makes dst the members, and checks them.
func (m *memberSet) decode(dst *dense.Bitmap) error {
	clear(dst[:])
	switch m.kind {
	case memberRuns:
		return readRuns(dst, m.body[2:], m.count)
	case memberArray:
		return readArray(dst, m.body)
	default:
		return readBits(dst, m.body, m.count)
	}
}

func wantBytes(b []byte, n int) error {
	switch {
	case len(b) < n:
		return errShort
	case len(b) > n:
		return errTrailing
	}
	return nil
}

func readArray(dst *dense.Bitmap, b []byte) error {
	previous := -1
	for ; len(b) > 0; b = b[2:] {
		low := binary.LittleEndian.Uint16(b)
		if int(low) <= previous {
			return errOrder
		}
		dst.Set(low)
		previous = int(low)
	}
	return nil
}

func readBits(dst *dense.Bitmap, b []byte, count int) error {
	for i := range dense.Words {
		dst.SetWord(i, bits.Reverse64(binary.LittleEndian.Uint64(b[8*i:])))
	}
	if n := dst.Count(); n != count {
		return fmt.Errorf("%d bits, %d in the entry", n, count)
	}
	return nil
}

func readRuns(dst *dense.Bitmap, b []byte, count int) error {
	end, total := -1, 0
	for ; len(b) > 0; b = b[4:] {
		first := int(binary.LittleEndian.Uint16(b))
		last := first + int(binary.LittleEndian.Uint16(b[2:]))
		if first <= end || last >= dense.ChunkSize {
			return errOrder
		}
		for low := first; low <= last; low++ {
			dst.Set(uint16(low))
		}
		end, total = last, total+last-first+1
	}
	if total != count {
		return fmt.Errorf("%d in runs, %d in the entry", total, count)
	}
	return nil
}
