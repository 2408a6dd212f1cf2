package ledger

import (
	"strconv"

	"github.com/granter/granter/grant"
)

// The keys of takes. Those of an item without a quota are on the master of their chunk, so that one script sees with them who
// is granted; those of an item with a quota are on the master of {C}, where the counter is:
//
//	granter:{C/<chunk>}:…, granter:{C}:<chunk>:…
//	  taken:<n>            string  one bit for each user of the chunk who took the item with index n in the spec
//	  taken:<n>:<segment>  string  when: 6 bytes for each of 1,024 users, Unix milliseconds, big-endian; 0: has not, or see many
//	  taken:<n>:many       string  4 bytes for each call of many users: where its entry is in takes, big-endian
//	  takes                list    one TakeEntry for each call, oldest first
//	granter:{C}:first:<n>  hash    taken: how many users took the item; full_at: when the last could, Unix milliseconds
//
// Where IDs are not dense, the number of a bucket is in place of the chunk's, taken:<n> is a hash, of each member who took the
// item and when (6 bytes), and there are neither segments nor a key of calls of many:
//
//	taken:<n>              hash    member, as entries have it → when
//
// The bits, or members, are what counts, the entries say whose they are and from where they came, and the times answer for one
// user without a look into the list, which grows by an entry with each user who takes an item alone. Who took it in a call of
// many has no time but that of the call's entry: there are few of those.
type takeKeys struct {
	base        string
	taken, list string
	first       string // empty: there is no quota
}

const (
	segmentUsers = 1024
	stampedBytes = 6
)

func (k *keys) take(chunk uint64, item int, quota bool) takeKeys {
	n, number := strconv.Itoa(item), strconv.FormatUint(chunk, 10)
	t := takeKeys{base: "granter:{" + k.campaign + "/" + number + "}:"}
	if quota {
		t.base = "granter:{" + k.campaign + "}:" + number + ":"
		t.first = "granter:{" + k.campaign + "}:first:" + n
	}
	t.taken, t.list = t.base+"taken:"+n, t.base+"takes"
	return t
}

// place are the keys that say whether the users of a chunk may take anything, in the order of the scripts.
func (k *keys) place(chunk uint64) []string {
	base := "granter:{" + k.campaign + "/" + strconv.FormatUint(chunk, 10) + "}:"
	return []string{base + "calls", base + "granted", base + "excluded", base + "state"}
}

// segment is the key of the times that a user's is among, and where it is there.
func (k *takeKeys) segment(low uint16) (key string, at int64) {
	return k.taken + ":" + strconv.Itoa(int(low)/segmentUsers), int64(low) % segmentUsers * stampedBytes
}

// many is the key that says where the entries of calls of many users are.
func (k *takeKeys) many() string { return k.taken + ":many" }

// segments are the keys of the times of some users, who are in ascending order.
func (k *takeKeys) segments(lows []uint16) []string {
	var out []string
	last := -1
	for _, low := range lows {
		if n := int(low) / segmentUsers; n != last {
			key, _ := k.segment(low)
			out, last = append(out, key), n
		}
	}
	return out
}

// takeKeys are those of an item of a campaign.
func (l *Store) takeKeys(c *grant.Campaign, chunk uint64, item int) takeKeys {
	return l.keys.take(chunk, item, c.Items[item].First > 0)
}

// offers are the indices of the items that users take.
func offers(c *grant.Campaign) (out []int) {
	for i := range c.Items {
		if c.Items[i].Offered() {
			out = append(out, i)
		}
	}
	return out
}
