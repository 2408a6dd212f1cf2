package source

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

var oddValues = [][]byte{
	nil, {}, []byte("0"), []byte("007"), []byte("-1"), []byte("1 "), []byte("1234567x"), []byte("x2345678"), []byte("123456789/"),
	[]byte(":234567890"), []byte("\x0112345678"), []byte("123\xff5678"),
}

// mixedRecord is the usual record of a number, or one of the others that a topic may have.
func mixedRecord(random *rand.Rand, offset int64) rec {
	r := rec{offset: offset, value: fmt.Append(nil, random.Uint64N(1<<(1+random.IntN(62))))}
	switch random.IntN(12) {
	case 0:
		r.key = []byte("key")
	case 1:
		r.headers = []kmsg.Header{{Key: "trace", Value: []byte("0123456789")}}
	case 2:
		r.value = oddValues[random.IntN(len(oddValues))]
	case 3:
		r.value = fmt.Appendf(nil, "%070d", offset)
	}
	return r
}

// Reading numbers in blocks hands over every record once: exactly the users that a decoder finds one by one, and every other
// record as it is, whatever the records and from wherever to wherever it reads.
func TestNumbersInBlocksAreThoseOfTheDecoder(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	inBlocks, others := 0, 0
	for range 300 {
		const limit = 1 << 40
		decode, err := newDecoder(grant.Input{Format: grant.FormatDecimal, MaxID: limit}, nil)
		require.NoError(t, err)
		base, count := random.Int64N(1<<40), 1+random.Int64N(400)
		raw := rawBatch{base: base, last: base + count - 1, producer: -1, codec: codecs[random.IntN(2)]}
		gap := random.IntN(3) == 0
		plain := random.IntN(2) == 0
		for offset := base; offset < base+count; offset++ {
			if gap && random.IntN(4) == 0 {
				continue
			}
			r := mixedRecord(random, offset)
			if plain {
				r = rec{offset: offset, value: fmt.Append(nil, random.Uint64N(48e6))}
			}
			raw.records = append(raw.records, r)
		}
		data := raw.encode(t)
		from, until := base-5+random.Int64N(count+5), base+random.Int64N(count+9)
		b, _, err := readBatch(data)
		require.NoError(t, err)
		type other struct {
			offset     int64
			key, value string
		}
		var want, got []uint64
		var wantOthers, gotOthers []other
		p := new(partition)
		require.NoError(t, b.visit(&p.inflated, "", from, until, func(offset int64, parts *Parts) error {
			if id, reason := decode(parts); reason == "" {
				want = append(want, id)
			} else {
				wantOthers = append(wantOthers, other{offset, string(parts.Key), string(parts.Value)})
			}
			return nil
		}))
		size := 1 + random.IntN(64)
		block, err := b.numbers(&p.inflated, from, until, limit, make([]uint64, 0, size), func(ids []uint64) {
			require.LessOrEqual(t, len(ids), size)
			got = append(got, ids...)
		}, func(offset int64, parts *Parts) error {
			if id, reason := decode(parts); reason == "" {
				got = append(got, id)
			} else {
				gotOthers = append(gotOthers, other{offset, string(parts.Key), string(parts.Value)})
			}
			if plain {
				others++
			}
			return nil
		})
		require.NoError(t, err)
		got = append(got, block...)
		slices.Sort(want) // what is handed over in blocks comes later
		slices.Sort(got)
		require.Equal(t, want, got)
		require.Equal(t, wantOthers, gotOthers)
		if plain {
			inBlocks += len(got)
			require.Empty(t, gotOthers)
		}
	}
	require.Greater(t, inBlocks, 100*others, "the usual records come in blocks")
}

// Whatever is wrong with a record, or behind the last one, it is what reading one by one says.
func TestDamagedNumbersAreRefusedAsAllRecordsAre(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	refused := 0
	for range 20_000 {
		raw := rawBatch{base: 100, last: 109, producer: -1}
		for i := range int64(10) {
			raw.records = append(raw.records, rec{offset: 100 + i, value: []byte("48000000")})
		}
		b, _, err := readBatch(raw.encode(t))
		require.NoError(t, err)
		b.payload = slices.Clone(b.payload)
		b.payload[random.IntN(len(b.payload))] = byte(random.Uint32())
		b.payload = b.payload[:len(b.payload)-random.IntN(3)]
		var want, got []string
		wantErr := b.visit(nil, "", 100, 110, func(_ int64, parts *Parts) error {
			want = append(want, string(parts.Value))
			return nil
		})
		block, gotErr := b.numbers(nil, 100, 110, grant.MaxUserID, make([]uint64, 0, 64), nil, func(_ int64, parts *Parts) error {
			got = append(got, string(parts.Value))
			return nil
		})
		for _, id := range block {
			got = append(got, fmt.Sprint(id))
		}
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(t, want, got)
		require.Equal(t, wantErr, gotErr)
		if wantErr != nil {
			refused++
		}
	}
	require.Greater(t, refused, 5000)
}

// A topic is read in blocks over a connection, up to where it is asked for.
func TestATopicIsReadInBlocks(t *testing.T) {
	raw := rawBatch{base: 0, last: 2999, producer: -1}
	for i := range int64(3000) {
		raw.records = append(raw.records, rec{offset: i, value: fmt.Append(nil, 100+i)})
	}
	raw.records[7].value = []byte("x")
	b := startScripted(t, serveLog(t, raw))
	s := newSource(t, []string{b.addr})
	var ids []uint64
	others := 0
	next, err := s.ReadNumbers(t.Context(), 0, 1, 2500, userid.Limit(0), func(block []uint64) { ids = append(ids, block...) },
		func(int64, *Parts) error { others++; return nil })
	require.NoError(t, err)
	require.EqualValues(t, 2500, next)
	require.Positive(t, others)
	want := map[uint64]bool{} // offsets 1 to 2499, but the one that is no number
	for i := uint64(101); i < 2600; i++ {
		want[i] = i != 107
	}
	for _, id := range ids {
		require.True(t, want[id], "user %d comes once", id)
		want[id] = false
	}
	require.Len(t, ids, 2499-others)
}

// BenchmarkNumbers measures what a record costs that is read in blocks: ns/op is for one.
func BenchmarkNumbers(b *testing.B) {
	d := startDecoding(b, compress.None, grant.Input{Format: grant.FormatDecimal}, decimalID)
	defer d.end()
	block, full := make([]uint64, 0, blockNumbers), func([]uint64) {}
	other := func(int64, *Parts) error { return nil }
	b.ReportAllocs()
	for n := 0; n < b.N; n += d.count {
		_, err := d.f.visible(0, -1, func(batch *batch, next int64, _ bool) (_ int64, err error) {
			block, err = batch.numbers(&d.p.inflated, next, 1<<62, grant.MaxUserID, block, full, other)
			return next, err
		})
		require.NoError(b, err)
	}
}
