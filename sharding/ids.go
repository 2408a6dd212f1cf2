package sharding

// IDs are some IDs of one lane, in the order of their records. A dense ID is a key. An opaque one is bytes, its member, and its
// key is a hash of them: lanes and shards go by keys alone.
type IDs struct {
	Keys    []uint64
	members []byte   // of opaque IDs, one behind the other
	width   uint32   // of each member; 0: they differ, or there is none
	ends    []uint32 // where each of them ends in members, if they differ
	start   uint32   // where the first of them begins
}

// Keys makes IDs of dense ones.
func Keys(ids ...uint64) IDs { return IDs{Keys: ids} }

// Add adds an opaque ID.
func (b *IDs) Add(key uint64, member []byte) {
	if b.width != uint32(len(member)) && (b.width > 0 || len(b.Keys) == 0) {
		b.another(len(member))
	}
	b.Keys = append(b.Keys, key)
	b.members = append(b.members, member...)
	if b.width == 0 {
		b.ends = append(b.ends, uint32(len(b.members)))
	}
}

// another makes room for the first member, or the first that is not as long as those before.
func (b *IDs) another(length int) {
	if len(b.Keys) == 0 {
		b.width = uint32(length)
		if b.members == nil {
			b.members = make([]byte, 0, min(cap(b.Keys)*length, maxMembers))
		}
		return
	}
	for i := range b.Keys {
		b.ends = append(b.ends, uint32(i+1)*b.width)
	}
	b.width = 0
}

// Member returns the i-th of opaque IDs. The memory belongs to the block.
func (b *IDs) Member(i int) []byte {
	if b.width > 0 {
		return b.members[uint32(i)*b.width : uint32(i+1)*b.width]
	}
	from := b.start
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.members[from:b.ends[i]]
}

// slice returns the IDs from, up to and without to.
func (b *IDs) slice(from, to int) IDs {
	part := IDs{Keys: b.Keys[from:to], width: b.width}
	switch {
	case b.width > 0:
		part.members = b.members[uint32(from)*b.width : uint32(to)*b.width]
	case len(b.ends) > 0:
		part.members, part.ends, part.start = b.members, b.ends[from:to], b.start
		if from > 0 {
			part.start = b.ends[from-1]
		}
	}
	return part
}

// empty forgets the IDs and keeps their memory.
func (b *IDs) empty() IDs { return IDs{Keys: b.Keys[:0], members: b.members[:0], ends: b.ends[:0]} }

// bytes is how much memory they take.
func (b *IDs) bytes() int { return 8*cap(b.Keys) + cap(b.members) + 4*cap(b.ends) }
