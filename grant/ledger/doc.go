// Package ledger records in Redis who has been granted a campaign: every user at most once, with the time, the run and
// the source offsets, and never acknowledged before it is there. It works the same on one Redis, behind Sentinel and on
// Redis Cluster.
//
// # Why a checkpoint can be trusted
//
// A Redis that restarts from its append-only file or a snapshot, or that fails over to a replica, loses a suffix of the
// history of that master, and says nothing. Three rules make the loss visible:
//
//  1. A flush is acknowledged only when one whole pipeline went through without any error: chunk calls first, and last,
//     on every master, a write of the shard's tip. So in the history of each master every write of the pipeline is
//     before its tip: whoever still has the tip still has the writes. After any error the whole pipeline is sent again,
//     with a tip of its own. (With the same tip again, a first attempt that failed in a chunk call but wrote its tip
//     would leave a tip that does not vouch for the second attempt's writes.)
//  2. The tips of a shard are a chain: each names the last acknowledged one, and is refused where less than that is
//     found.
//  3. A checkpoint is written, on every master, by a script that first finds the acknowledged tips of all shards and at
//     least the checkpoint that the session last saw. So it is after them in the history, and is lost if they are.
//
// A session that trips over a loss gets ErrRegressed, and begins again from the smallest checkpoint of all masters.
// Grants are idempotent, so what survived is not granted twice.
//
// The rules hold for loss of a suffix. They do not cover slots that move to another master which then loses what it
// received before its next tip: do not reshard during a run.
//
// # Why nobody is granted under another spec, too early or too late
//
// A process that looked a moment ago may have slept since. So what must not be violated travels with each chunk call, and
// Redis judges it, by its clock, before the first write:
//
//   - The chunk remembers the spec of its first grant, and refuses another.
//   - A chunk that nobody has touched has none. So a run must have a lease to grant anything: for half a minute at a time,
//     one script decides on the master of the key spec that this is the spec, and until when the run may grant under it. A
//     spec is replaced only when nobody was granted under it and no such lease is in force, and chunk calls carry the end
//     of their lease: whoever sleeps longer finds his calls refused, asks again, and gets to know the new spec. The lease
//     ends 10 s earlier for the run than for those who want another spec, because the clocks of masters may differ.
//   - Each call carries starts_at, or what that was postponed to, and ends_at. The entry has the time that was judged.
//
// Whether nobody was granted is asked of the index of chunks, of how many it has ever had, of the keys of all masters, and
// of the records of runs: no single key is believed.
//
// What this does not cover: a Redis that loses the lease and the spec with the last suffix of its history, while another
// version of the spec is started before the run writes its next checkpoint (half a second).
package ledger
