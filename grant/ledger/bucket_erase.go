package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/opaque"
)

// memberWithoutWhy is WithoutWhy of an entry of a bucket.
func memberWithoutWhy(text string) string {
	var e Entry
	members, err := e.UnmarshalBucket([]byte(text))
	if err == nil {
		err = e.readAct()
	}
	if err != nil || e.Kind == EntryGrant || e.Kind == EntryErase {
		return text
	}
	act, err := json.Marshal(e.Act.WithoutWhy())
	if err != nil {
		return text
	}
	var all [][]byte
	err = members.Each(func(_ uint64, member []byte) bool { all = append(all, member); return true })
	if err != nil {
		return text
	}
	return string(appendBucketAct([]byte(text[:stampBytes]), e.Kind, act, members.Width, all))
}

// has reports whether a member is among those of an entry.
func (m *BucketMembers) has(hash uint64, member []byte) (found bool, err error) {
	err = m.Each(func(h uint64, other []byte) bool {
		found = h == hash && bytes.Equal(other, member)
		return !found && h <= hash
	})
	return found, err
}

// actsOnMember is actsOn where IDs are not dense.
func (l *Store) actsOnMember(user grant.UserID) (func(e *Entry, text string) (bool, error), error) {
	member, err := l.memberOf(user)
	hash := opaque.Hash(member)
	return func(e *Entry, text string) (bool, error) {
		members, err := e.UnmarshalBucket([]byte(text))
		if err != nil || e.Kind == EntryGrant {
			return false, err
		}
		return members.has(hash, member)
	}, err
}

// MemberErasures is Erasures of the members of a bucket.
type MemberErasures map[string]*grant.Remark

// Told is an act of an entry as it may be told of one of its members.
func (e MemberErasures) Told(member []byte, a *grant.Act) *grant.Act {
	s := grant.UserState{Erased: e[string(member)]}
	return s.Told(a)
}

// MemberErasuresIn is ErasuresIn of the journal of a bucket.
func MemberErasuresIn(journal []string) (MemberErasures, error) {
	var out MemberErasures
	for i, text := range journal {
		if len(text) <= stampBytes || EntryKind(text[stampBytes]) != EntryErase {
			continue
		}
		var e Entry
		members, err := e.UnmarshalBucket([]byte(text))
		if err == nil {
			err = e.readAct()
		}
		if err == nil {
			err = members.Each(func(_ uint64, member []byte) bool {
				if out == nil {
					out = MemberErasures{}
				}
				out[string(member)] = &grant.Remark{At: e.Act.At, Who: e.Act.Who, Reason: e.Act.Reason}
				return true
			})
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return out, nil
}

// MemberErasures asks for the erasures of some members of a bucket.
func (l *Reader) MemberErasures(ctx context.Context, bucket uint64, members [][]byte) (MemberErasures, error) {
	out, key := MemberErasures{}, l.keys.chunk(bucket, "").state
	for some := range slices.Chunk(members, surveyPage) {
		fields := make([]string, len(some))
		for i, member := range some {
			fields[i] = l.form.ID(member).String()
		}
		err := l.erased(ctx, key, fields, func(i int, was *grant.Remark) { out[string(some[i])] = was })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
