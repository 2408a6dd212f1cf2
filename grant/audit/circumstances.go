package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// circumstances finds out what there is to compare: which topic, up to where everybody must be granted, what is gone.
func (a *audit) circumstances(ctx context.Context) (err error) {
	if a.id, err = a.Topic.Identify(ctx); err != nil {
		return err
	}
	committed := grant.Offsets{} // before the checkpoint: a run commits what its checkpoint has already
	if a.Committed != nil {
		if committed, err = a.Committed(ctx, a.id); err != nil {
			return err
		}
	}
	checkpoint, err := a.Checkpoint(ctx)
	if err != nil {
		return err
	}
	bounds, err := a.Topic.Bounds(ctx)
	if err != nil {
		return err
	}
	a.report.Topic.ID = a.id.String()
	a.identity(checkpoint)
	a.checkpoint = checkpoint.Of(a.id)
	a.first, a.below = bounds.Firsts, grant.Offsets{}
	for _, partition := range bounds.Partitions() {
		p := &Partition{
			Partition: partition, First: bounds.Firsts[partition], End: bounds.Ends[partition],
			Checkpoint: a.checkpoint.Next[partition],
		}
		a.partitions[partition] = p
		if p.First > 0 {
			a.gone(partition, 0, p.First)
		}
		a.below[partition] = min(a.reached(p, committed), p.End)
		a.added(p)
	}
	return nil
}

// reached returns up to where everybody of a partition must be granted: at the checkpoint, or further, where Kafka or the
// report before know that the ledger was further.
func (a *audit) reached(p *Partition, committed grant.Offsets) int64 {
	reached := p.Checkpoint
	back := func(before int64, who string) {
		if before <= p.Checkpoint {
			return
		}
		reached = max(reached, before)
		a.findings.add(RolledBack, fmt.Sprintf("partition %d", p.Partition), before-p.Checkpoint, fmt.Sprintf(
			"the checkpoint is at offset %d, and %s that it was at %d: the ledger lost what it had", p.Checkpoint, who, before),
			"Run the campaign once more: it reads again from the older checkpoint, and grants nobody twice. Then audit again")
	}
	if !a.corrected() {
		if committed[p.Partition] > 0 {
			a.witness(WitnessGroup)
		}
		back(committed[p.Partition], "Kafka's offsets of the group say")
	}
	if a.Previous != nil && a.Previous.Topic.ID == a.report.Topic.ID && a.Previous.Spec == a.report.Spec {
		a.witness(WitnessReport)
		for _, before := range a.Previous.Topic.Partitions {
			if before.Partition == p.Partition {
				back(before.Checkpoint, "the report before says")
			}
		}
	}
	if reached > p.End {
		p.Lost = reached - p.End
		a.findings.add(Truncated, fmt.Sprintf("partition %d", p.Partition), p.Lost, fmt.Sprintf(
			"the checkpoint is at offset %d, and the partition ends at %d: Kafka lost records", reached, p.End),
			"Publish the users of the lost records again, then granter run --new-topic --why TEXT")
	}
	return reached
}

// corrected reports whether there were runs under another spec. Each spec has a checkpoint of its own, and they share what
// Kafka has for the group: then that says nothing.
func (a *audit) corrected() bool {
	return slices.ContainsFunc(a.Runs, func(r grant.RunRecord) bool { return r.Spec != a.Campaign.Hash })
}

// identity says whether the topic is the one that was granted, and which runs read another.
func (a *audit) identity(checkpoint grant.Checkpoint) {
	a.foreign = map[grant.RunID]bool{}
	cut := int64(0) // runs that read this topic before it lost records
	for i := range a.Runs {
		switch r := &a.Runs[i]; {
		case !a.id.Continues(r.Topic):
			a.foreign[r.Run] = true
		case r.UpdatedAt.Before(a.Anew):
			a.foreign[r.Run] = true
			cut++
		}
	}
	if cut > 0 {
		a.findings.add(Truncated, "topic "+a.Campaign.Input.Topic, cut, fmt.Sprintf(
			"runs read it before %s, when somebody ordered to begin anew as it had lost records: who had those cannot be seen",
			a.Anew.Format(time.RFC3339)),
			"Publish the users of the lost records again. The audits of before are the proof of them")
	}
	const do = "To grant what the topic holds now: granter run --new-topic --why TEXT (nobody is granted twice). " +
		"What the topic before held is proven by the audits that were made of it only"
	switch {
	case !a.id.Continues(checkpoint.Topic):
		a.findings.add(TopicChanged, "topic "+a.Campaign.Input.Topic, 1, fmt.Sprintf(
			"the checkpoint counts in topic %s, and Kafka has %s now: it was deleted and created again, or is on another cluster",
			checkpoint.Topic, a.id), do)
	case int64(len(a.foreign)) > cut:
		a.findings.add(TopicChanged, "topic "+a.Campaign.Input.Topic, int64(len(a.foreign))-cut,
			"runs have granted from another topic of this name, which is gone", do)
	}
}

// added says that nobody has read a partition that has records.
func (a *audit) added(p *Partition) {
	_, known := a.checkpoint.Next[p.Partition]
	read := func(r grant.RunRecord) bool { return slices.Contains(r.Partitions, p.Partition) }
	if known || len(a.checkpoint.Next) == 0 || p.End == p.First || slices.ContainsFunc(a.Runs, read) {
		return
	}
	a.findings.add(PartitionAdded, fmt.Sprintf("partition %d", p.Partition), p.End-p.First,
		"the partition has records, and no run has read it: it was added later", "Run the campaign once more, then audit again")
}

// gone says that records were removed before they could be audited.
func (a *audit) gone(partition int, from, to int64) {
	a.findings.add(RecordsGone, fmt.Sprintf("partition %d", partition), to-from,
		fmt.Sprintf("offsets %d to %d are gone (retention or record deletion): whether their users are granted cannot be seen",
			from, to-1),
		"Audit before retention removes records, and keep the reports")
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.partitions[partition]
	p.First = max(p.First, to)
}

// heldBack says that an open transaction kept records of a partition back.
func (a *audit) heldBack(partition int, next, until int64) {
	if next >= a.below[partition] { // nobody has to be granted of them yet
		return
	}
	a.findings.add(HeldBack, fmt.Sprintf("partition %d", partition), until-next,
		fmt.Sprintf("records from offset %d on are below the checkpoint, and Kafka does not hand them out: a transaction is open",
			next),
		"Audit again when the transaction is over; kafka-transactions.sh find-hanging finds it")
}

// count adds what was read of a partition, and notes whether any of it waits to be granted.
func (a *audit) count(partition int, seen *Partition, waits bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits[partition] = a.waits[partition] || waits
	if !a.counting {
		return
	}
	p := a.partitions[partition]
	p.Records += seen.Records
	p.Malformed += seen.Malformed
}

// ends notes where the partitions end by now.
func (a *audit) ends(bounds grant.Bounds) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for partition, end := range bounds.Ends {
		p := a.partitions[partition]
		if p == nil {
			p = &Partition{Partition: partition}
			a.partitions[partition] = p
		}
		p.End, p.First = end, max(p.First, bounds.Firsts[partition])
	}
}

func (a *audit) sortedPartitions() []Partition {
	out := make([]Partition, 0, len(a.partitions))
	for _, partition := range slices.Sorted(maps.Keys(a.partitions)) {
		out = append(out, *a.partitions[partition])
	}
	return out
}
