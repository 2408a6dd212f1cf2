package review

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/text"
)

// Two lines for each text of a claims.RefusalError: as it is in the source, and in Korean, where {1} is the first that is filled
// in. Particles behind it are written undecided, as text.Particles reads them.
//
//go:embed refused.ko.txt
var koreanFile string

var inKorean = func() map[string]string {
	texts := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSpace(koreanFile), "\n\n") {
		english, korean, _ := strings.Cut(pair, "\n")
		texts[english] = korean
	}
	return texts
}()

// refused says why something was not done. It has Korean for every text of a claims.RefusalError that staff can meet.
func refused(l tell.Lang, r *claims.RefusalError) string {
	korean, ok := inKorean[r.Format]
	if l != tell.Korean || !ok { // its kind is for programs
		return strings.TrimPrefix(r.Error(), r.Kind.Error()+": ")
	}
	pairs := make([]string, 0, 2*len(r.Args))
	for i, arg := range r.Args {
		pairs = append(pairs, "{"+strconv.Itoa(i+1)+"}", filledIn(arg))
	}
	return text.Particles(strings.NewReplacer(pairs...).Replace(korean))
}

// filledIn is what is filled into a Korean text: names of the programme's words, and at most 40 characters of what somebody
// wrote.
func filledIn(arg any) string {
	switch arg := arg.(type) {
	case claims.Won:
		return tell.Korean.Won(arg)
	case claims.State:
		return tell.State(arg).In(tell.Korean)
	case claims.Action:
		return actionName(arg).In(tell.Korean)
	case claims.Duty:
		return dutyName(arg).In(tell.Korean)
	case claims.Affiliation:
		return tell.Affiliation(arg).In(tell.Korean)
	case claims.Reason:
		return tell.Reason(arg).In(tell.Korean)
	case vote.Choice:
		return tell.Choice(arg).In(tell.Korean)
	case claims.Duties:
		return filledInAll(arg)
	case claims.List[claims.Action]:
		return filledInAll(arg)
	case claims.List[claims.Reason]:
		return filledInAll(arg)
	case claims.List[claims.Affiliation]:
		return filledInAll(arg)
	case claims.List[vote.Choice]:
		return filledInAll(arg)
	case string:
		if runes := []rune(arg); len(runes) > 40 {
			arg = string(runes[:40]) + "…"
		}
		return tell.Barred(arg).In(tell.Korean)
	default:
		return fmt.Sprint(arg)
	}
}

func filledInAll[T any](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = filledIn(w)
	}
	return strings.Join(words, ", ")
}
