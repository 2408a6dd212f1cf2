package owner

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/width"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/tell"
)

// topic is one page of questions about one thing.
type topic struct {
	name   string
	title  tell.Text
	fields []field
}

// Names of answers that are no text of a form.
const (
	fieldNumber      = "business_number"
	fieldOpened      = "opened"
	fieldIndustry    = "industry"
	fieldOutage      = "outage_sales"
	fieldWeek        = "week_sales_" // and a number
	fieldReported    = "reported_loss"
	fieldAlternative = "alternative_available"
)

// topics are what an owner is asked, in this order: at most seven, and six for a claim of a tier. What is asked depends on the
// programme, and on what was answered before.
func (v *visit) topics() []topic {
	out := []topic{
		{"business", tell.Text{KO: "사업자등록번호", EN: "Your business number"}, []field{{
			name: fieldNumber, label: tell.Text{KO: "사업자등록번호 10자리", EN: "Business registration number, 10 digits"},
			hint: tell.Text{KO: "예: 120-81-47521", EN: "Such as 120-81-47521"}, mode: "numeric",
			example: tell.Text{
				KO: "사업자등록번호 10자리를 다시 확인해 주세요. 예: 120-81-47521",
				EN: "Check the 10 digits of the business number, such as 120-81-47521",
			},
		}}},
		{"registration", tell.Text{KO: "사업자등록증에 있는 내용", EN: "From the registration certificate"}, []field{
			{name: "representative", label: tell.Text{KO: "대표자 이름", EN: "Name of the representative"}, complete: "name"},
			{name: fieldOpened, label: tell.Text{KO: "개업일", EN: "Opening day"}, mode: "numeric",
				hint: tell.Text{KO: "예: 2020-03-01 또는 20200301", EN: "Such as 2020-03-01 or 20200301"},
				example: tell.Text{
					KO: "개업일을 연-월-일로 적어 주세요. 예: 2020-03-01",
					EN: "Write the opening day as year, month and day, such as 2020-03-01",
				}},
			{
				name:     "business_name",
				label:    tell.Text{KO: "상호", EN: "Name of the business"},
				optional: true,
				complete: "organization",
			},
		}},
		{"industry", tell.Text{KO: "업종", EN: "Industry"}, []field{{
			name: fieldIndustry, label: tell.Text{KO: "어떤 일을 하시나요?", EN: "What does the business do?"}, kind: "choice",
			options: v.industries(), example: tell.Text{KO: "업종을 하나 골라 주세요.", EN: "Choose one industry."},
		}}},
		{"sales", tell.Text{KO: "매출", EN: "Your sales"}, v.sales()},
	}
	if v.asksAlternative() {
		out = append(out, topic{"alternative", tell.Text{KO: "다른 서비스", EN: "Another service"}, []field{{
			name: fieldAlternative, kind: "choice",
			label: tell.Text{KO: "장애 동안 다른 서비스를 대신 쓸 수 있었나요?", EN: "Could you use another service during the outage?"},
			options: []option{{"no", tell.Text{KO: "아니요, 쓸 수 없었습니다", EN: "No, I could not"}},
				{"yes", tell.Text{KO: "예, 쓸 수 있었습니다", EN: "Yes, I could"}}},
			example: tell.Text{KO: "하나를 골라 주세요.", EN: "Choose one."},
		}}})
	}
	return append(out,
		topic{"contact", tell.Text{KO: "연락처", EN: "How we reach you"}, []field{
			{name: "phone", label: tell.Text{KO: "휴대전화 번호", EN: "Mobile phone number"}, kind: "tel", complete: "tel",
				hint: tell.Text{KO: "예: 010-1234-5678", EN: "Such as 010-1234-5678"},
				example: tell.Text{
					KO: "전화번호를 숫자로 적어 주세요. 예: 010-1234-5678",
					EN: "Write the phone number in digits, such as 010-1234-5678",
				}},
			{name: "email", label: tell.Text{KO: "이메일", EN: "E-mail"}, kind: "email", complete: "email", optional: true,
				hint: tell.Text{
					KO: "적어 주시면 결과를 이메일로도 알려 드립니다.",
					EN: "If you give one, we tell you the result by e-mail, too.",
				},
				example: tell.Text{
					KO: "이메일 주소를 확인해 주세요. 예: owner@example.com",
					EN: "Check the e-mail address, such as owner@example.com",
				}},
		}},
		topic{"account", tell.Text{KO: "돈을 받을 계좌", EN: "Where the money goes"}, accountFields()},
	)
}

func accountFields() []field {
	return []field{
		{name: "bank", label: tell.Text{KO: "은행", EN: "Bank"}, kind: "list", options: banks,
			example: tell.Text{KO: "은행을 골라 주세요.", EN: "Choose the bank."}},
		{name: "account", label: tell.Text{KO: "계좌번호", EN: "Account number"}, mode: "numeric",
			example: tell.Text{
				KO: "계좌번호를 숫자로 적어 주세요. 예: 110-123-456789",
				EN: "Write the account number in digits, such as 110-123-456789",
			}},
		{name: "holder", label: tell.Text{KO: "예금주", EN: "Account holder"}, optional: true, complete: "name",
			hint: tell.Text{KO: "대표자와 같으면 비워 두세요.", EN: "Leave it empty if it is the representative."}},
	}
}

// sales are the fields for what was lost, as the programme computes it.
func (v *visit) sales() []field {
	p := v.Programme
	amount := tell.Text{KO: "금액을 숫자로 적어 주세요. 예: 1200000 또는 120만", EN: "Write the amount in digits, such as 1200000"}
	between := func(from, to claims.Date) tell.Text {
		of := func(l tell.Lang, format string) string { return fmt.Sprintf(format, l.Day(from), l.Day(to)) }
		return tell.Text{KO: of(tell.Korean, "%s ~ %s"), EN: of(tell.English, "%s to %s")}
	}
	if p.Loss.Weeks == claims.ReportedLoss {
		return []field{
			{name: fieldReported, label: tell.Text{KO: "줄어든 매출", EN: "Sales that you lost"}, kind: "won", mode: "numeric",
				hint: between(p.Outage.From, p.Outage.Through), example: amount},
		}
	}
	out := []field{{
		name: fieldOutage, label: tell.Text{KO: "장애 주간의 매출", EN: "Sales in the week of the outage"}, kind: "won", mode: "numeric",
		hint: between(p.Outage.From, p.Outage.Through), example: amount,
	}}
	if p.Loss.Weeks == claims.MaxWeek {
		days := between(p.Loss.Baseline.From, p.Loss.Baseline.Through)
		return append(out, field{
			name: fieldWeek + "1", label: tell.Text{KO: "매출이 가장 높았던 한 주의 매출", EN: "Sales in your best " +
				"week"}, kind: "won", mode: "numeric",
			hint: tell.Text{
				KO: days.KO + " 가운데 토요일부터 금요일까지 한 주",
				EN: "A week of Saturday to Friday in " + days.EN,
			}, example: amount,
		})
	}
	from, err := time.Parse(time.DateOnly, string(p.Loss.Baseline.From))
	through, err2 := time.Parse(time.DateOnly, string(p.Loss.Baseline.Through))
	if err != nil || err2 != nil {
		return out // no programme is like that
	}
	for i := 1; from.AddDate(0, 0, 6).Compare(through) <= 0; i++ {
		out = append(out, field{
			name:  fieldWeek + strconv.Itoa(i),
			label: tell.Text{KO: fmt.Sprintf("평소 %d번째 주의 매출", i), EN: fmt.Sprintf("Sales in usual week %d", i)},
			kind:  "won", mode: "numeric", example: amount,
			hint: between(claims.Date(from.Format(time.DateOnly)), claims.Date(from.AddDate(0, 0, 6).Format(time.DateOnly))),
		})
		from = from.AddDate(0, 0, 7)
	}
	return out
}

// industries are those that the programme names, and one for all others.
func (v *visit) industries() []option {
	var out []option
	for _, name := range v.Programme.Industries() {
		out = append(out, option{name, tell.Industry(name)})
	}
	return append(out, option{tell.OtherIndustry, tell.Industry(tell.OtherIndustry)})
}

// asksAlternative reports whether it matters for the amount: it does for people, and where tiers are of the assessed loss.
func (v *visit) asksAlternative() bool {
	if v.Programme.Tiers.Basis == claims.AssessedLoss {
		return true
	}
	form, err := v.formOf()
	if err != nil {
		return false
	}
	a, err := v.Programme.Assess(factsOf(form))
	return err == nil && v.Programme.Propose(factsOf(form), &a).Review
}

func factsOf(f *intake.Form) *claims.Facts {
	return &claims.Facts{Industry: f.Industry, Opened: f.Opened, OutageSales: f.OutageSales, WeekSales: f.WeekSales,
		Reported: f.ReportedLoss, Alternative: f.AlternativeAvailable}
}

// formOf makes of the answers what every channel hands over.
func (v *visit) formOf() (*intake.Form, error) {
	d := v.draft
	f := &intake.Form{
		ID: v.id, BusinessNumber: d[fieldNumber], BusinessName: d["business_name"], Representative: d["representative"],
		Industry: d[fieldIndustry], Opened: claims.Date(d[fieldOpened]), Phone: d["phone"], Email: d["email"], Bank: d["bank"],
		Account: d["account"], Holder: d["holder"], AlternativeAvailable: d[fieldAlternative] == "yes", Language: string(v.lang),
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
	if v.Programme.Loss.Weeks == claims.ReportedLoss {
		w := amount(fieldReported)
		f.ReportedLoss = &w
		return f, err
	}
	f.OutageSales = amount(fieldOutage)
	for _, field := range v.sales()[1:] {
		f.WeekSales = append(f.WeekSales, amount(field.name))
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

// read returns what an answer is as it is kept, or what is wrong with it in the owner's language.
func (v *visit) read(f *field, given string) (value, wrong string) {
	value = strings.TrimSpace(given)
	numbers := f.name == "phone" || f.name == "account" || f.kind == "won"
	switch {
	case value == "" && f.optional:
		return "", ""
	case value == "":
		if f.kind == "choice" || f.kind == "list" {
			return "", f.example.In(v.lang)
		}
		return "", tell.Text{
			KO: "{label}: 적어 주세요.",
			EN: "{label}: please fill this in.",
		}.Fill(
			v.lang,
			"{label}",
			f.label.In(v.lang),
		)
	case claims.HoldsResidentNumber(value, !numbers):
		return "", v.t("주민등록번호로 보이는 숫자가 있습니다. 지워 주세요. 저장하지 않았습니다.",
			"This looks like a resident registration number. Remove it. It was not saved.")
	}
	value, err := v.parse(f, value)
	if err != nil {
		wrong = f.example.In(v.lang)
		if wrong == "" {
			wrong = tell.Text{KO: "{label}: 200자까지, 글자와 숫자로 적어 주세요.", EN: "{label}: at most 200 letters and digits."}.
				Fill(v.lang, "{label}", f.label.In(v.lang))
		}
		return given, wrong
	}
	return value, ""
}

// parse applies the rules of intake, which hold for every channel, to one answer.
func (v *visit) parse(f *field, value string) (string, error) {
	switch {
	case f.kind == "won":
		w, err := parseWon(value)
		return strconv.FormatInt(int64(w), 10), err
	case f.name == fieldNumber:
		n, err := claims.ParseBusinessNumber(value)
		return n.String(), err
	case f.name == fieldOpened:
		d, err := parseDay(value)
		return string(d), err
	case f.kind == "choice" || f.kind == "list":
		for _, o := range f.options {
			if o.value == value {
				return value, nil
			}
		}
		return "", fmt.Errorf("%.40q is no choice", value)
	}
	if f.name == "phone" || f.name == "account" {
		value = narrow(value)
	}
	form := intake.Form{Phone: value, Email: value, Account: value, Holder: value, Representative: value, BusinessName: value}
	return value, form.CheckText(f.name)
}

// banks by their codes, as the account holder check knows them.
var banks = func() []option {
	out := make([]option, 0, 25)
	for _, b := range []struct{ code, ko, en string }{
		{"004", "KB국민은행", "KB Kookmin"}, {"088", "신한은행", "Shinhan"}, {"020", "우리은행", "Woori"}, {"081", "하나은행", "Hana"},
		{"011", "NH농협은행", "NH Nonghyup"}, {"012", "지역 농·축협", "Local Nonghyup"}, {"003", "IBK기업은행", "IBK"},
		{"090", "카카오뱅크", "KakaoBank"}, {"089", "케이뱅크", "K bank"}, {"092", "토스뱅크", "Toss Bank"},
		{"045", "새마을금고", "MG Saemaeul"}, {"048", "신협", "Shinhyup"}, {"071", "우체국", "Korea Post"}, {"007", "수협은행", "Suhyup"},
		{"002", "KDB산업은행", "KDB"}, {"023", "SC제일은행", "SC First"}, {"027", "한국씨티은행", "Citi Korea"},
		{"031", "iM뱅크(대구)", "iM Bank (Daegu)"}, {"032", "부산은행", "Busan"}, {"039", "경남은행", "Kyongnam"},
		{"034", "광주은행", "Kwangju"}, {"037", "전북은행", "Jeonbuk"}, {"035", "제주은행", "Jeju"}, {"050", "저축은행", "Savings banks"},
		{"064", "산림조합", "Forestry cooperatives"},
	} {
		out = append(out, option{b.code, tell.Text{KO: b.ko, EN: b.en}})
	}
	return out
}()

func bankName(l tell.Lang, code string) string {
	for _, b := range banks {
		if b.value == code {
			return b.label.In(l)
		}
	}
	return code
}
