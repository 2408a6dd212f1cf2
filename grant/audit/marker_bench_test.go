package audit

import "testing"

// Users of a dense, shuffled campaign, as a reader of a partition hands them over. It allocates nothing for each.
func BenchmarkMark(b *testing.B) {
	for name, users := range map[string]uint64{"48M": 48e6, "480M": 480e6} {
		b.Run(name, func(b *testing.B) {
			c := newRoom(8<<30).begin(0, nil)
			m := c.markers(below, int64(users))
			for chunk := range users >> chunkBits {
				c.need(chunk)
			}
			b.ReportAllocs()
			b.ResetTimer()
			id := uint64(1)
			var ids [blockUsers]uint64
			for n := 0; n < b.N; n += len(ids) {
				for i := range ids {
					id = (id*6364136223846793005 + 1442695040888963407)
					ids[i] = (id >> 20) % users
				}
				m.add(ids[:])
			}
			m.done()
		})
	}
}
