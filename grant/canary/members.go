package canary

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/opaque"
)

// members are the users of a list whose IDs are not dense.
type members struct {
	form userid.Form
	set  map[string]bool
}

// onlyMembers is Only where IDs are not dense: a user is who the spec says, in any spelling.
func onlyMembers(ctx context.Context, all grant.Pass, list io.Reader, t *grant.Input) (*List, error) {
	m := &members{form: userid.FormOf(t), set: map[string]bool{}}
	var buf []byte
	err := userid.ReadListOf(list, t).Each(ctx, func(id grant.UserID) {
		buf, _ = m.form.Member(buf[:0], []byte(id.String())) // the list has read it by the same rules
		m.set[string(buf)] = true
	})
	n := int64(len(m.set))
	if err := judge(n, err); err != nil {
		return nil, err
	}
	includes := func(_ uint64, member []byte) bool { return m.set[string(member)] }
	return &List{
		Pass: all.SomeMembers(fmt.Sprintf("only %d users", n), "only-"+m.digest(t), includes), Listed: n, members: m,
	}, nil
}

// sorted returns the members in the order in which buckets have them.
func (m *members) sorted() [][]byte {
	all := make([][]byte, 0, len(m.set))
	for member := range maps.Keys(m.set) {
		all = append(all, []byte(member))
	}
	slices.SortFunc(all, opaque.Compare)
	return all
}

// digest tells one set of users from another.
func (m *members) digest(t *grant.Input) string {
	h := sha256.New()
	io.WriteString(h, string(t.IDs)+"\n") //nolint:errcheck // a hash takes everything
	var buf []byte
	for _, member := range m.sorted() {
		buf = opaque.Width(m.form.Width()).Append(buf[:0], member)
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// missing is List.Missing.
func (m *members) missing(ctx context.Context, r Reader, some int) (missing int64, first []grant.UserID, err error) {
	absent, err := r.Absent(ctx, m.sorted())
	if err != nil {
		return 0, nil, err
	}
	ids := make([]grant.UserID, len(absent))
	for i, member := range absent {
		ids[i] = m.form.ID(member)
	}
	slices.SortFunc(ids, func(a, b grant.UserID) int { return strings.Compare(a.String(), b.String()) })
	return int64(len(ids)), ids[:min(some, len(ids)):min(some, len(ids))], nil
}
