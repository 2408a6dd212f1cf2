package claims

import (
	"fmt"
	"strings"
)

// RefusalError says why something was not done. It keeps its text apart from what is filled in, so that a page can say it in
// another language.
type RefusalError struct {
	Kind   error  // such as ErrIllegal
	Format string // in English, as for fmt.Errorf
	Args   []any
	text   error
}

func (r *RefusalError) Error() string { return r.Kind.Error() + ": " + r.text.Error() }

// Unwrap returns the kind, and what else the text wraps.
func (r *RefusalError) Unwrap() []error { return []error{r.Kind, r.text} }

// Refuse returns a RefusalError. Package review has each text in Korean.
func Refuse(kind error, format string, args ...any) error {
	return &RefusalError{Kind: kind, Format: format, Args: args, text: fmt.Errorf(format, args...)}
}

// Illegal refuses what is not possible from where a claim, or a programme, is.
func Illegal(format string, args ...any) error { return Refuse(ErrIllegal, format, args...) }

// List is several of one kind, as a text names them.
type List[T ~string] []T

func (l List[T]) String() string { return join(l, ", ") }

// Duties are those of which one is enough.
type Duties []Duty

func (d Duties) String() string { return join(d, " or ") }

func join[T ~string](list []T, between string) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, between)
}
