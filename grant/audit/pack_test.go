package audit

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever ledger and topic hold, and however little memory there is, each pass ends with exactly those marks on exactly those
// members.
func TestPacksKeepEveryMemberAndItsMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{16, 8, 0}).Draw(t, "width")
		l := &layout{bits: 3, width: width}
		member := func(n int) []byte {
			text := fmt.Sprintf("%016d", n*7919)
			if width == 0 {
				return []byte(text[16-1-n%16:])
			}
			return []byte(text[16-width:])
		}
		ledgers := rapid.SliceOfDistinct(rapid.IntRange(0, 400), rapid.ID).Draw(t, "ledger")
		topic := rapid.SliceOfN(rapid.IntRange(0, 400), 0, 900).Draw(t, "topic")
		type state struct {
			marks byte
			held  bool
		}
		want, got := map[string]state{}, map[string]state{}
		byBucket := map[uint64][]one{}
		for _, n := range ledgers {
			m := member(n)
			if _, twice := want[string(m)]; twice {
				continue
			}
			want[string(m)] = state{held: true}
			hash := hashOf(m)
			byBucket[l.bucket(hash)] = append(byBucket[l.bucket(hash)], one{hash: hash, member: m})
		}
		for i, n := range topic {
			s := want[string(member(n))]
			s.marks |= byte(1 + i%2)
			want[string(member(n))] = s
		}
		s := newPacks(l, rapid.Int64Range(1, 20_000).Draw(t, "budget"))
		passes := 0
		for from := s.first(); from < s.end(); from = s.limit.Load() {
			s.begin(from)
			for _, bucket := range sortedKeys(byBucket) {
				if bucket < from || bucket >= s.limit.Load() {
					continue
				}
				slices.SortFunc(byBucket[bucket], func(a, b one) int { return a.compare(&b) })
				var all []byte
				for _, o := range byBucket[bucket] {
					all = append(l.stored(all, o.member), 0)
				}
				p := new(pack)
				p.fill(l, all, len(byBucket[bucket]))
				s.hold(bucket, p)
			}
			for i, n := range topic {
				s.mark(member(n), byte(1+i%2))
			}
			for _, bucket := range s.there() {
				var last one
				s.at(bucket).each(l, func(o *one, held bool) {
					require.Equal(t, bucket, l.bucket(o.hash))
					require.Negative(t, last.compare(o))
					last = *o
					got[string(o.member)] = state{o.marks, held}
				})
			}
			passes++
			require.LessOrEqual(t, passes, 8)
		}
		require.Equal(t, want, got)
	})
}

func FuzzBucketEntry(f *testing.F) {
	l := &layout{width: 0}
	head := []byte{3, 0, 0, 1, 2, 3, 4, 1, 1, 2, 3, 4, 5, 6, 7, 8, 3, 7, 1, 1, 5, 10, 9, 0}
	f.Add(append(head, 3, 'a', 'b', 'c'))
	f.Fuzz(func(t *testing.T, text []byte) {
		var e entry
		members, err := e.readBucket(text, l)
		n := 0
		for ; err == nil && len(members) > 0; n++ {
			size, _ := l.size(members)
			require.Positive(t, size)
			members = members[size:]
		}
		if err == nil {
			require.Equal(t, e.count, n)
		}
	})
}
