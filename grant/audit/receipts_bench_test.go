package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
)

// everybody makes the census of a whole chunk whose users were granted by so many entries.
func everybody(entries int) *census {
	c := new(census)
	c.begin()
	for i := range entries {
		e := entry{kind: kindGrant, at: 1672844400000 + int64(i), run: 1, flush: uint64(i)}
		e.spread.array = true
		for low := i; low < 1<<chunkBits; low += entries {
			e.spread.lows = append(e.spread.lows, uint16(low))
		}
		c.add(&e, []byte("as it is stored"))
	}
	return c
}

// A receipt of one of 48 million users: of a chunk that a bulk granted, and of one with an entry for each user, as a trickle
// leaves it. Opening is what a desk does once for each report.
func BenchmarkReceipt(b *testing.B) {
	private, _, err := Keygen("audit.test")
	require.NoError(b, err)
	s, err := note.NewSigner(private)
	require.NoError(b, err)
	camp, err := campaign.Parse("test", fmt.Appendf(nil, spec, "audited"))
	require.NoError(b, err)
	const chunks = 733
	for _, entries := range []int{8, 1 << chunkBits} {
		name := filepath.Join(b.TempDir(), "receipts")
		file, err := os.Create(name)
		require.NoError(b, err)
		tree := &Tree{Users: true}
		tree.Receipts, err = NewReceiptsWriter(file, camp, tree.Salt)
		require.NoError(b, err)
		r := &Report{Format: 1, Campaign: camp.Name, Spec: camp.Hash, Verdict: Proven}
		var whole page
		whole.fill(0, 1<<chunkBits-1)
		c := everybody(entries)
		for chunk := range uint64(chunks) {
			if chunk < 3 { // the others are the same, and only their leaves count
				r.leaves = append(r.leaves, c.leaf(newSalted(tree.Salt), chunk, &whole, tree))
				require.NoError(b, r.leaves[chunk].keep(tree))
				continue
			}
			l := *r.leaves[2]
			l.chunk = chunk
			r.leaves = append(r.leaves, &l)
		}
		r.Tree = treeReport(r.leaves, true)
		_, err = r.Sign(s)
		require.NoError(b, err)
		require.NoError(b, tree.Receipts.Finish(r, camp))
		info, err := file.Stat()
		require.NoError(b, err)
		require.NoError(b, file.Close())
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			all, err := OpenReceipts(name)
			require.NoError(b, err)
			defer all.Close()
			b.ReportAllocs()
			user := uint64(0)
			for b.Loop() {
				_, err := all.Of(grant.NumberID(user % (3 << chunkBits)))
				require.NoError(b, err)
				user += 40503
			}
			b.ReportMetric(float64(info.Size())/(3<<chunkBits), "B/user")
		})
		b.Run(fmt.Sprintf("entries=%d/open", entries), func(b *testing.B) {
			for b.Loop() {
				all, err := OpenReceipts(name)
				require.NoError(b, err)
				require.NoError(b, all.Close())
			}
		})
	}
}
