package lookup

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// MaxAtOnce is how many users are taken from one text. A page of any list, of a desk and of its API, has as many elements at
// most: it is one number to remember.
const MaxAtOnce = 1000

// Pasted is what people meant by a text that they put into a search box. Elsewhere IDs are strict (package userid): only
// people paste, and only they can see how it was understood.
type Pasted struct {
	Users    []Understood
	Refused  []Refused
	Surplus  int // users beyond MaxAtOnce, who were left out
	Repeated int // users who were there already
}

// Understood is one user, and what had to be done to find the ID in the text.
type Understood struct {
	User grant.UserID
	Text string // as it was
	How  []Change
}

// Change is what was done to a text to find an ID in it.
type Change string

// The changes.
const (
	FullWidth    Change = "full_width"    // digits of another width or script form
	Separators   Change = "separators"    // between thousands
	Hyphens      Change = "hyphens"       // as in a phone number
	LeadingZeros Change = "leading_zeros" // as spreadsheets and forms add them
	Decimals     Change = "decimals"      // .0 behind a whole number
	Words        Change = "words"         // around it
)

// Refused is a part of a text that is no ID.
type Refused struct {
	Text  string
	Why   Refusal
	Maybe *grant.UserID // what it would be, if somebody insists; nil: nothing
}

// Refusal is why a text is no ID.
type Refusal string

// The refusals.
const (
	LooksLikePhone Refusal = "phone" // a real phone number: its digits would be somebody else's ID
	LooksLikeDate  Refusal = "date"
	Rounded        Refusal = "rounded"   // 4.1E+07: a spreadsheet has lost digits
	Signed         Refusal = "signed"    // + or − in front
	TooLarge       Refusal = "too_large" // above any user's ID
	NoID           Refusal = "no_id"     // digits among letters
)

var (
	split         = regexp.MustCompile(`[\r\n\t;|、；]+`)
	spaces        = regexp.MustCompile(`\s+`)
	around        = regexp.MustCompile(`^([^0-9]*?)([+-]?)([0-9](?:[0-9 ,.'_-]*[0-9])?)([^0-9]*)$`)
	scientific    = regexp.MustCompile(`(?i)^[+-]?[0-9]+(\.[0-9]+)?e\+?[0-9]+$`)
	international = regexp.MustCompile(`^\+[0-9]{1,3}[ -][0-9 ()-]{6,}$`)
	decimals      = regexp.MustCompile(`^[0-9]+\.0+$`)
	date          = regexp.MustCompile(`^(19|20)[0-9]{2}[-.][01]?[0-9][-.][0-3]?[0-9]$`)
	hyphens       = regexp.MustCompile(`^[0-9]+(-[0-9]+)+$`)
	mobile        = regexp.MustCompile(`^01[016789][0-9]{7,8}$`)
	landline      = regexp.MustCompile(`^0[2-8][0-9]?-[0-9]{3,4}-[0-9]{4}$`)
	digits        = regexp.MustCompile(`[0-9]+`)
	thousands     = func() (all []*regexp.Regexp) {
		for _, separator := range []string{",", " ", `\.`, "'", "_"} {
			all = append(all, regexp.MustCompile(`^[0-9]{1,3}(`+separator+`[0-9]{3})+$`))
		}
		return all
	}()
)

// Understand finds the users whom a pasted text means: one, or a list with any of the usual separators between them. Others are
// the forms of IDs that are not dense. A string with spaces in it is looked up by its path.
func Understand(text string, others ...userid.Form) Pasted {
	var out Pasted
	seen := map[grant.UserID]bool{}
	var take func(raw string, finer []func(string) []string)
	take = func(raw string, finer []func(string) []string) {
		raw = strings.TrimFunc(raw, invisible)
		var maybe *grant.UserID
		u, why := other(raw, others)
		if why == NoID {
			if !strings.ContainsFunc(raw, unicode.IsDigit) {
				return // words among a list
			}
			u, why, maybe = one(raw)
		}
		switch {
		case why == NoID && len(finer) > 0:
			parts := finer[0](raw)
			for _, part := range parts {
				take(part, finer[1:])
			}
		case why != "":
			out.Refused = append(out.Refused, Refused{cut(strings.Trim(raw, " ,.")), why, maybe})
		case seen[u.User]:
			out.Repeated++
		case len(out.Users) == MaxAtOnce:
			seen[u.User] = true
			out.Surplus++
		default:
			seen[u.User] = true
			out.Users = append(out.Users, u)
		}
	}
	bySpace := func(s string) []string { return spaces.Split(norm.NFKC.String(s), -1) }
	byComma := func(s string) []string { return strings.Split(norm.NFKC.String(s), ",") }
	for _, line := range split.Split(text, -1) {
		take(line, []func(string) []string{bySpace, byComma})
	}
	return out
}

// other reads a text that holds one ID that is not dense; NoID: it holds none.
func other(raw string, forms []userid.Form) (u Understood, why Refusal) {
	u.Text = cut(raw)
	if raw == "" || strings.ContainsFunc(raw, unicode.IsSpace) || strings.Contains(raw, ",") {
		return u, NoID
	}
	if _, why, _ := one(raw); why == "" && !strings.ContainsAny(raw, "-{") { // a number
		return u, NoID
	}
	for _, form := range forms {
		if form.Width() == 16 && len(raw) < 32 { // the 16 bytes of one, which nobody pastes
			continue
		}
		if id, err := form.Parse(raw); err == nil {
			u.User = id
			return u, ""
		}
	}
	return u, NoID
}

// invisible are characters that are copied along with a text and that nobody sees.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || r == '\ufeff'
}

// cut shortens a text for a page.
func cut(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// one reads a text that holds one ID. NoID may also mean that it holds several.
func one(raw string) (u Understood, why Refusal, maybe *grant.UserID) {
	u.Text = cut(raw)
	s := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(raw))
	if len(digits.FindAllString(raw, -1)) == 0 {
		u.How = append(u.How, FullWidth)
	}
	switch {
	case scientific.MatchString(s):
		return u, Rounded, nil
	case international.MatchString(s):
		return u, LooksLikePhone, nil
	}
	parts := around.FindStringSubmatch(s)
	if len(parts) == 0 || !bounded(parts[1], parts[4]) {
		return u, NoID, nil
	}
	sign, body := parts[2], parts[3]
	if strings.ContainsFunc(parts[1]+parts[4], unicode.IsLetter) {
		u.How = append(u.How, Words)
	}
	number, change, why := plainDigits(body)
	if why == NoID {
		return u, why, nil
	}
	if sign != "" || strings.HasSuffix(strings.TrimRight(parts[1], " "), "−") {
		why = Signed
		if sign == "+" && strings.HasPrefix(number, "82") {
			why = LooksLikePhone
		}
	}
	if change != "" {
		u.How = append(u.How, change)
	}
	if stripped := strings.TrimLeft(number, "0"); stripped != number {
		if number = stripped; number == "" {
			number = "0"
		}
		if number != "0" || len(body) > 1 {
			u.How = append(u.How, LeadingZeros)
		}
	}
	id, err := userid.Parse(number, 0)
	switch {
	case err != nil:
		return u, TooLarge, nil
	case why != "":
		return u, why, &id
	}
	u.User = id
	return u, "", nil
}

// bounded reports whether what is around digits does not belong to them: a1b2 is no ID.
func bounded(before, after string) bool {
	latin := func(r rune) bool { return unicode.Is(unicode.Latin, r) || r == '@' || r == '%' }
	b, a := []rune(before), []rune(after)
	return (len(b) == 0 || !latin(b[len(b)-1])) && (len(a) == 0 || !latin(a[0]))
}

// plainDigits takes out what people put between digits. Without a refusal the rest is an ID.
func plainDigits(s string) (number string, change Change, why Refusal) {
	only := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	switch {
	case mobile.MatchString(only), landline.MatchString(s):
		return only, "", LooksLikePhone
	case only == s:
		return only, "", ""
	case date.MatchString(s):
		return only, "", LooksLikeDate
	case slices.ContainsFunc(thousands, func(r *regexp.Regexp) bool { return r.MatchString(s) }):
		return only, Separators, ""
	case decimals.MatchString(s):
		return s[:strings.IndexByte(s, '.')], Decimals, ""
	case hyphens.MatchString(s):
		return only, Hyphens, ""
	}
	return "", "", NoID
}

// numbers returns every ID that a malformed record may mean: whatever a person would take for one, and each row of digits.
func numbers(text string) []grant.UserID {
	p := Understand(text)
	var out []grant.UserID
	for _, u := range p.Users {
		out = append(out, u.User)
	}
	for _, r := range p.Refused {
		if r.Maybe != nil {
			out = append(out, *r.Maybe)
		}
	}
	for _, row := range digits.FindAllString(norm.NFKC.String(text), -1) {
		if row = strings.TrimLeft(row, "0"); row != "" {
			if id, err := userid.Parse(row, 0); err == nil {
				out = append(out, id)
			}
		}
	}
	return out
}

// mentions reports whether a malformed record seems to mean a user.
func mentions(text string, user grant.UserID) bool {
	if !user.IsNumber() {
		return strings.Contains(strings.ToLower(text), strings.ToLower(user.String()))
	}
	return slices.Contains(numbers(text), user)
}

// Means reports whether the sample of a malformed record, as runs keep it, seems to mean a user.
func Means(sample string, user grant.UserID) bool { return mentions(unquote(sample), user) }

// unquote takes back strconv.Quote; what is none stays.
func unquote(s string) string {
	if text, err := strconv.Unquote(s); err == nil {
		return text
	}
	return s
}
