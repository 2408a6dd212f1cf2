package questions

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/width"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/tell"
)

// Form makes of the answers what every channel hands over.
func (a *Asked) Form() (*intake.Form, error) {
	d := a.Answers
	f := &intake.Form{
		ID: a.ID, BusinessNumber: d[fieldNumber], BusinessName: d["business_name"], Representative: d["representative"],
		Industry: d[fieldIndustry], Opened: claims.Date(d[fieldOpened]), Phone: d["phone"], Email: d["email"], Bank: d["bank"],
		Account: d["account"], Holder: d["holder"], AlternativeAvailable: d[fieldAlternative] == "yes", Language: string(a.Lang),
	}
	if text := d[fieldRate]; text != "" {
		f.OwnProfitRate, _ = parseShare(text) // it was checked when it was kept
	}
	if f.BusinessName == "" {
		f.BusinessName = f.Representative
	}
	if f.Holder == "" {
		f.Holder = f.Representative
	}
	var err error
	amount := func(name string) claims.Won {
		w, e := parseWon(d[name])
		if e != nil {
			err = e
		}
		return w
	}
	if a.Programme.Loss.Weeks == claims.ReportedLoss {
		w := amount(fieldReported)
		f.ReportedLoss = &w
		return f, err
	}
	sold := amount(fieldOutage)
	f.OutageSales = &sold
	for _, field := range a.sales()[1:] {
		f.WeekSales = append(f.WeekSales, amount(field.Name))
	}
	return f, err
}

// narrow is what somebody wrote, without full-width characters, spaces around it and thousands' commas.
func narrow(s string) string { return strings.TrimSpace(width.Narrow.String(s)) }

// parseWon reads an amount as people write it: 1,200,000원, or 120만.
func parseWon(s string) (claims.Won, error) {
	s = strings.NewReplacer(",", "", " ", "", "원", "", "₩", "").Replace(narrow(s))
	times := int64(1)
	if short, ok := strings.CutSuffix(s, "만"); ok {
		s, times = short, 10_000
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%.20q is no amount", s)
	case n < 0 || n > int64(claims.MaxSales)/times:
		return 0, fmt.Errorf("%d won cannot be", n)
	}
	return claims.Won(n * times), nil
}

// parseShare reads a percentage of at most two decimals as people write it: 12.5, 12,5 or 12.5%.
func parseShare(s string) (*big.Rat, error) {
	s = strings.TrimSpace(strings.TrimSuffix(narrow(s), "%"))
	s = strings.Replace(s, ",", ".", 1)
	if !shareForm.MatchString(s) {
		return nil, fmt.Errorf("%.20q is no percentage", s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || r.Cmp(big.NewRat(100, 1)) > 0 {
		return nil, fmt.Errorf("%.20q is no percentage up to 100", s)
	}
	return r.Quo(r, big.NewRat(100, 1)), nil
}

var shareForm = regexp.MustCompile(`^\d{1,3}(\.\d{1,2})?$`)

// parseDay reads a day as people write it: 2020-03-01, 2020.3.1, 20200301, 2020년 3월 1일.
func parseDay(s string) (claims.Date, error) {
	words := strings.FieldsFunc(narrow(s), func(r rune) bool { return r < '0' || r > '9' })
	if len(words) == 1 && len(words[0]) == 8 {
		words = []string{words[0][:4], words[0][4:6], words[0][6:]}
	}
	t, err := time.Parse("2006 1 2", strings.Join(words, " "))
	if err != nil || t.Year() < 1900 {
		return "", fmt.Errorf("%.40q is no day", s)
	}
	return claims.Date(t.Format(time.DateOnly)), nil
}

// Read returns what an answer is as it is kept, or what is wrong with it in the owner's language.
func (a *Asked) Read(f *Field, given string) (value, wrong string) {
	value = strings.TrimSpace(given)
	numbers := f.Name == "phone" || f.Name == "account"
	switch {
	case value == "" && f.Optional:
		return "", ""
	case value == "":
		if f.Kind == Choice || f.Kind == List {
			return "", f.Example.In(a.Lang)
		}
		return "", tell.Text{
			KO: "{label}: 적어 주세요.",
			EN: "{label}: please fill this in.",
		}.Fill(
			a.Lang,
			"{label}",
			f.Label.In(a.Lang),
		)
	case resident.In(value, !numbers):
		return "", tell.Text{KO: "주민등록번호로 보이는 숫자가 있습니다. 지워 주세요. 저장하지 않았습니다.",
			EN: "This looks like a resident registration number. Remove it. It was not saved."}.In(a.Lang)
	}
	value, err := a.parse(f, value)
	if err != nil {
		wrong = f.Example.In(a.Lang)
		if wrong == "" {
			wrong = tell.Text{KO: "{label}: 200자까지, 글자와 숫자로 적어 주세요.", EN: "{label}: at most 200 letters and digits."}.
				Fill(a.Lang, "{label}", f.Label.In(a.Lang))
		}
		return given, wrong
	}
	return value, ""
}

// parse applies the rules of intake, which hold for every channel, to one answer.
func (a *Asked) parse(f *Field, value string) (string, error) {
	switch {
	case f.Kind == Won:
		w, err := parseWon(value)
		return strconv.FormatInt(int64(w), 10), err
	case f.Kind == Share:
		r, err := parseShare(value)
		if err != nil {
			return "", err
		}
		return strings.TrimSuffix(tell.Share(r), "%"), nil
	case f.Name == fieldNumber:
		n, err := claims.ParseBusinessNumber(value)
		return n.String(), err
	case f.Name == fieldOpened:
		d, err := parseDay(value)
		return string(d), err
	case f.Kind == Choice || f.Kind == List:
		for _, o := range f.Options {
			if o.Value == value {
				return value, nil
			}
		}
		return "", fmt.Errorf("%.40q is no choice", value)
	}
	if f.Name == "phone" || f.Name == "account" {
		value = narrow(value)
	}
	form := intake.Form{Phone: value, Email: value, Account: value, Holder: value, Representative: value, BusinessName: value}
	return value, form.CheckText(f.Name)
}

// Shown is an answer as people read it.
func (a *Asked) Shown(f *Field) string {
	value := a.Answers[f.Name]
	switch {
	case value == "" && f.Name == "holder":
		return a.Answers["representative"]
	case value == "":
		return a.Empty()
	case f.Kind == Won:
		w, _ := parseWon(value) // it was checked when it was kept
		return a.Lang.Won(w)
	case f.Kind == Share:
		return value + "%"
	case f.Name == fieldOpened:
		return a.Lang.Day(claims.Date(value))
	}
	for _, o := range f.Options {
		if o.Value == value {
			return o.Label.In(a.Lang)
		}
	}
	return value
}

// Empty is shown in place of an answer that was not given.
func (a *Asked) Empty() string { return tell.Text{KO: "적지 않음", EN: "not given"}.In(a.Lang) }

// Answered reports whether everything was answered that must be.
func (a *Asked) Answered(t *Topic) bool {
	for i := range t.Fields {
		if f := &t.Fields[i]; !f.Optional && a.Answers[f.Name] == "" {
			return false
		}
	}
	return true
}
