package grant

// StartOffsets returns where to start each assigned partition: at the smaller of what the ledger and Kafka say, since
// either may have lost its latest word. What only Kafka has the ledger has lost. What only the ledger has may, where
// brokers have no topic IDs, be of another topic: Kafka forgets the offsets of a topic that is deleted, so one that was
// made again is read from its first record; that grants nobody twice. What retention removed below the ledger's checkpoint
// has been granted, and is no gap.
func StartOffsets(committed, checkpoint, firsts Offsets) Offsets {
	starts := make(Offsets, len(committed))
	for partition, offset := range committed {
		trusted := checkpoint[partition]
		starts[partition] = max(min(trusted, max(offset, 0)), min(trusted, firsts[partition]))
	}
	return starts
}
