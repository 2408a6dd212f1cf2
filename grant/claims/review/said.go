package review

import (
	_ "embed"
	"regexp"
	"strconv"
	"strings"

	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/text"
)

// Two lines for each reason that granter itself writes into history, in English and for good: as it is in the source, and in
// Korean, as in refused.ko.txt. What people write is shown as it is.
//
//go:embed said.ko.txt
var saidFile string

// saying is a reason of which some words are filled in.
type saying struct {
	english *regexp.Regexp
	korean  string
}

var sayings = func() (out []saying) {
	for pair := range strings.SplitSeq(strings.TrimSpace(saidFile), "\n\n") {
		english, korean, _ := strings.Cut(pair, "\n")
		pattern := strings.NewReplacer(`%d`, `(-?\d+)`, `%\.12s`, `([0-9a-f]{12})`, `%s`, `([^;]+?)`).
			Replace(regexp.QuoteMeta(english))
		out = append(out, saying{regexp.MustCompile("^" + pattern + "$"), korean})
	}
	return out
}()

// words that are filled in.
var saidWords = map[string]string{
	"active": "정상", "suspended": "휴업", "closed": "폐업", "unknown": "확인되지 않음", "mismatch": "불일치", "verified": "확인됨",
	"account": "계좌", "phone": "전화번호", "address": "주소", "document": "서류",
	"sales_loss": "매출 손실", "assessed_loss": "산정 손실",
}

// reasonIn is a reason as history has it, in the reader's language if granter wrote it.
func reasonIn(l tell.Lang, reason string) string {
	if l == tell.English || reason == "" {
		return reason
	}
	if korean, ok := saidInKorean(reason); ok {
		return korean
	}
	for _, between := range []string{"; ", " and ", ", "} { // several signals, ends of a tier, documents
		parts := strings.Split(reason, between)
		for i, part := range parts {
			korean, ok := saidInKorean(part)
			if !ok {
				parts = nil
				break
			}
			parts[i] = korean
		}
		if len(parts) > 1 {
			return strings.Join(parts, strings.Replace(between, "and ", "", 1))
		}
	}
	return reason
}

func saidInKorean(s string) (korean string, ok bool) {
	if word := saidWords[s]; word != "" {
		return word, true
	}
	if name, _ := tell.Document(s); name.In(tell.English) != s {
		return name.In(tell.Korean), true
	}
	for i := range sayings {
		found := sayings[i].english.FindStringSubmatch(s)
		if found == nil {
			continue
		}
		pairs := make([]string, 0, 2*len(found))
		for n, word := range found[1:] {
			if won, err := strconv.ParseInt(word, 10, 64); err == nil {
				word = text.Number(won)
			}
			pairs = append(pairs, "{"+strconv.Itoa(n+1)+"}", reasonIn(tell.Korean, word))
		}
		return text.Particles(strings.NewReplacer(pairs...).Replace(sayings[i].korean)), true
	}
	return "", false
}
