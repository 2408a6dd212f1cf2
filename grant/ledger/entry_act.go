package ledger

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// EntryKind is what an entry says of its members.
type EntryKind byte

// The kinds of entries. The first three settle the place of their members, so no user is in two of those, and together they
// are the bitmap of the chunk. The others are about users who are settled; a note may be about anybody. Kind 3 is a take,
// which is in a list of its own.
const (
	EntryGrant     EntryKind = 1 // a run granted them the campaign
	EntryHand      EntryKind = 5 // somebody granted it by hand
	EntryExclude   EntryKind = 6 // they will not get it
	EntryRevoke    EntryKind = 2
	EntryReinstate EntryKind = 4
	EntryExtend    EntryKind = 7
	EntryMove      EntryKind = 8
	EntryRecall    EntryKind = 9
	EntryNote      EntryKind = 10
	EntryErase     EntryKind = 11 // why the entries before it about the same user were made is erased
)

// entryKinds are the kinds of entries by that of the act that they carry.
var entryKinds = map[grant.ActKind]EntryKind{
	grant.ActHand: EntryHand, grant.ActExclude: EntryExclude, grant.ActRevoke: EntryRevoke, grant.ActReinstate: EntryReinstate,
	grant.ActExtend: EntryExtend, grant.ActMove: EntryMove, grant.ActRecall: EntryRecall, grant.ActNote: EntryNote,
	grant.ActErase: EntryErase,
}

func (k EntryKind) known() bool {
	switch k { // a take is in a list of its own
	case EntryGrant, EntryHand, EntryExclude, EntryRevoke, EntryReinstate, EntryExtend, EntryMove, EntryRecall, EntryNote,
		EntryErase:
		return true
	case EntryTake: // in a list of its own
	}
	return false
}

// Settles reports whether entries of this kind set the bits of their members.
func (k EntryKind) Settles() bool { return k == EntryGrant || k == EntryHand || k == EntryExclude }

// appendAct appends the entry of an act without its first 7 bytes.
func appendAct(dst []byte, kind EntryKind, act []byte, members *dense.Bitmap) []byte {
	head := append(make([]byte, 0, kindBytes+runLength+2), byte(kind))
	head = append(head, make([]byte, runLength+2)...) // no run, no shard, no flush
	behind := binary.AppendUvarint([]byte{0}, uint64(len(act)))
	dst, _ = appendTail(dst, head, append(behind, act...), members)
	return dst
}

// readAct decodes the act of an entry whose head is read; a grant has none.
func (e *Entry) readAct() error {
	if e.Kind == EntryGrant {
		return nil
	}
	if len(e.Ranges) > 0 || e.Run != 0 || e.Shard != 0 || e.Flush != 0 {
		return fmt.Errorf("journal entry of kind %d: an act has no run and no ranges", e.Kind)
	}
	act := new(grant.Act)
	if err := json.Unmarshal(e.act, act); err != nil {
		return fmt.Errorf("journal entry: act: %w", err)
	}
	if entryKinds[act.Kind] != e.Kind {
		return fmt.Errorf("journal entry of kind %d: its act is %q", e.Kind, act.Kind)
	}
	e.Act = act
	return nil
}
