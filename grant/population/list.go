package population

import (
	"context"
	"io"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// list is a Source of the IDs of a list.
type list struct {
	*userid.List

	ids []grant.UserID
}

// List returns a Source of the IDs that r lists, one a line, for a topic with a limit. A line that is no user ID ends it with
// a *userid.LineError.
func List(r io.Reader, t grant.Input) Source { return &list{List: userid.ReadListOf(r, &t)} }

func (l *list) Next(ctx context.Context, dst []Record) (int, error) {
	if len(l.ids) < len(dst) {
		l.ids = make([]grant.UserID, len(dst))
	}
	n, err := l.List.Next(ctx, l.ids[:len(dst)])
	for i, id := range l.ids[:n] {
		dst[i] = Record{ID: id}
	}
	return n, err
}
