// Package questions has what owners are asked, page by page, and what their answers come to: the same whether they are asked on
// their own page or by staff on the telephone. What is asked depends on the programme.
package questions

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/tell"
)

// Topic is one page of questions about one thing.
type Topic struct {
	Name   string
	Title  tell.Text
	Fields []Field
}

// Field is one field of a form.
type Field struct {
	Name     string
	Label    tell.Text
	Hint     tell.Text
	Kind     Kind
	Mode     string // of a phone's keyboard
	Complete string // what the browser may fill in
	Options  []Option
	Optional bool
	Example  tell.Text // what to write when it is wrong
}

// Kind is how a field is written into.
type Kind string

// The kinds; empty is a line of text.
const (
	Phone  Kind = "tel"
	Mail   Kind = "email"
	Won    Kind = "won"
	Share  Kind = "share"  // a percentage
	Choice Kind = "choice" // of a few, all of which are seen
	List   Kind = "list"   // of many
	Area   Kind = "area"   // several lines
)

// Option is one of those to choose from.
type Option struct {
	Value string
	Label tell.Text
}

// Asked are the questions to one owner, and what was answered so far.
type Asked struct {
	Programme *claims.Programme
	Lang      tell.Lang
	ID        string            // of the claim; empty: the form has none
	Answers   map[string]string // by field, as Read returned them
	// All asks on one page, before anything is known, also what depends on other answers.
	All bool
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
	fieldRate        = "own_profit_rate"
)

// Topics are what an owner is asked, in this order: at most seven, and six for a claim of a tier. What is asked depends on the
// programme, and on what was answered before.
func (a *Asked) Topics() []Topic {
	out := []Topic{
		{"business", tell.Text{KO: "사업자등록번호", EN: "Business number"}, []Field{{
			Name: fieldNumber, Label: tell.Text{KO: "사업자등록번호", EN: "Business number"},
			Hint: tell.Text{KO: "10자리, 예: 120-81-47521", EN: "10 digits, such as 120-81-47521"}, Mode: "numeric",
			Example: tell.Text{
				KO: "사업자등록번호 10자리를 다시 확인해 주세요. 예: 120-81-47521",
				EN: "Check the 10 digits of the business number, such as 120-81-47521",
			},
		}}},
		{"registration", tell.Text{KO: "사업자등록증 내용", EN: "Registration certificate"}, []Field{
			{Name: "representative", Label: tell.Text{KO: "대표자", EN: "Representative"}, Complete: "name"},
			{Name: fieldOpened, Label: tell.Text{KO: "개업일", EN: "Opening day"}, Mode: "numeric",
				Hint: tell.Text{KO: "예: 20200301", EN: "Such as 20200301"},
				Example: tell.Text{
					KO: "개업일을 연-월-일로 적어 주세요. 예: 2020-03-01",
					EN: "Write the opening day as year, month and day, such as 2020-03-01",
				}},
			{
				Name:     "business_name",
				Label:    tell.Text{KO: "상호", EN: "Business name"},
				Optional: true,
				Complete: "organization",
			},
		}},
		{"industry", tell.Text{KO: "업종", EN: "Industry"}, []Field{{
			Name: fieldIndustry, Label: tell.Text{KO: "업종", EN: "Industry"}, Kind: Choice,
			Options: a.industries(), Example: tell.Text{KO: "업종을 하나 골라 주세요.", EN: "Choose one industry."},
		}}},
		{"sales", tell.Text{KO: "매출", EN: "Your sales"}, a.sales()},
	}
	if a.asksMore() {
		out = append(out, a.more())
	}
	return append(out,
		Topic{"contact", tell.Text{KO: "연락처", EN: "Contact"}, []Field{
			{Name: "phone", Label: tell.Text{KO: "휴대전화", EN: "Mobile phone"}, Kind: Phone, Complete: "tel",
				Hint: tell.Text{KO: "예: 010-1234-5678", EN: "Such as 010-1234-5678"},
				Example: tell.Text{
					KO: "전화번호를 숫자로 적어 주세요. 예: 010-1234-5678",
					EN: "Write the phone number in digits, such as 010-1234-5678",
				}},
			{Name: "email", Label: tell.Text{KO: "이메일", EN: "E-mail"}, Kind: Mail, Complete: "email", Optional: true,
				Hint: tell.Text{
					KO: "결과를 이메일로도 알려 드립니다.",
					EN: "For the result, too.",
				},
				Example: tell.Text{
					KO: "이메일 주소를 확인해 주세요. 예: owner@example.com",
					EN: "Check the e-mail address, such as owner@example.com",
				}},
		}},
		Topic{"account", tell.Text{KO: "돈을 받을 계좌", EN: "Bank account"}, Account()},
	)
}

// Account is where the money goes.
func Account() []Field {
	return []Field{
		{Name: "bank", Label: tell.Text{KO: "은행", EN: "Bank"}, Kind: List, Options: banks,
			Example: tell.Text{KO: "은행을 골라 주세요.", EN: "Choose the bank."}},
		{Name: "account", Label: tell.Text{KO: "계좌번호", EN: "Account number"}, Mode: "numeric",
			Example: tell.Text{
				KO: "계좌번호를 숫자로 적어 주세요. 예: 110-123-456789",
				EN: "Write the account number in digits, such as 110-123-456789",
			}},
		{Name: "holder", Label: tell.Text{KO: "예금주", EN: "Account holder"}, Optional: true, Complete: "name",
			Hint: tell.Text{KO: "대표자가 아니면 적어 주세요.", EN: "If not the representative."}},
	}
}

// sales are the fields for what was lost, as the programme computes it.
func (a *Asked) sales() []Field {
	p := a.Programme
	amount := tell.Text{KO: "금액을 숫자로 적어 주세요. 예: 1200000 또는 120만", EN: "Write the amount in digits, such as 1200000"}
	between := func(from, to claims.Date) tell.Text {
		return tell.Text{KO: tell.Korean.Days(from, to), EN: tell.English.Days(from, to)}
	}
	if p.Loss.Weeks == claims.ReportedLoss {
		return []Field{
			{Name: fieldReported, Label: tell.Text{KO: "줄어든 매출", EN: "Sales that you lost"}, Kind: Won, Mode: "numeric",
				Hint: between(p.Outage.From, p.Outage.Through), Example: amount},
		}
	}
	out := []Field{{
		Name: fieldOutage, Label: tell.Text{KO: "장애 주간 매출", EN: "Sales in the outage week"}, Kind: Won, Mode: "numeric",
		Hint: between(p.Outage.From, p.Outage.Through), Example: amount,
	}}
	if p.Loss.Weeks == claims.MaxWeek {
		days := between(p.Loss.Baseline.From, p.Loss.Baseline.Through)
		return append(out, Field{
			Name: fieldWeek + "1", Kind: Won, Mode: "numeric",
			Label: tell.Text{KO: "가장 좋았던 한 주의 매출", EN: "Sales in your best week"},
			Hint: tell.Text{
				KO: days.KO + " 중 토~금요일 한 주",
				EN: "Saturday to Friday, in " + days.EN,
			}, Example: amount,
		})
	}
	from, err := time.Parse(time.DateOnly, string(p.Loss.Baseline.From))
	through, err2 := time.Parse(time.DateOnly, string(p.Loss.Baseline.Through))
	if err != nil || err2 != nil {
		return out // no programme is like that
	}
	for i := 1; from.AddDate(0, 0, 6).Compare(through) <= 0; i++ {
		out = append(out, Field{
			Name:  fieldWeek + strconv.Itoa(i),
			Label: tell.Text{KO: fmt.Sprintf("평소 %d번째 주의 매출", i), EN: fmt.Sprintf("Sales in usual week %d", i)},
			Kind:  "won", Mode: "numeric", Example: amount,
			Hint: between(claims.Date(from.Format(time.DateOnly)), claims.Date(from.AddDate(0, 0, 6).Format(time.DateOnly))),
		})
		from = from.AddDate(0, 0, 7)
	}
	return out
}

// industries are those that the programme names, and one for all others.
func (a *Asked) industries() []Option {
	var out []Option
	for _, name := range a.Programme.Industries() {
		out = append(out, Option{name, tell.Industry(name)})
	}
	return append(out, Option{tell.OtherIndustry, tell.Industry(tell.OtherIndustry)})
}

// asksMore reports whether it matters for the amount what else could have been used, and which rate the owner has: it does for
// people, and where tiers are of the assessed loss.
func (a *Asked) asksMore() bool {
	tiers := &a.Programme.Tiers
	if tiers.Basis == claims.AssessedLoss {
		return true
	}
	if a.All {
		return slices.ContainsFunc(tiers.Table, func(t claims.Tier) bool { return t.Review })
	}
	form, err := a.Form()
	if err != nil {
		return false
	}
	facts := form.Facts()
	assessed, err := a.Programme.Assess(&facts)
	return err == nil && a.Programme.Propose(&facts, &assessed).Review
}

// more is what it depends on then.
func (a *Asked) more() Topic {
	out := Topic{"alternative", tell.Text{KO: "다른 서비스", EN: "Another service"}, []Field{{
		Name: fieldAlternative, Kind: Choice,
		Label: tell.Text{KO: "장애 동안 다른 서비스를 대신 쓸 수 있었나요?", EN: "Could you use another service during the outage?"},
		Options: []Option{{"no", tell.Text{KO: "아니요, 쓸 수 없었습니다", EN: "No, I could not"}},
			{"yes", tell.Text{KO: "예, 쓸 수 있었습니다", EN: "Yes, I could"}}},
		Example: tell.Text{KO: "하나를 골라 주세요.", EN: "Choose one."},
	}}}
	if !a.Programme.Assessment.OwnRate {
		return out
	}
	evidence, _ := tell.Document(claims.RateEvidence)
	hint := tell.Text{
		KO: "비워 두면 업종의 이익률 {rate}로 계산합니다. 적으면 나중에 이 서류를 보내 주셔야 합니다: {document}",
		EN: "If you leave it empty we compute with {rate}, the rate of your industry. If you give one, please send this " +
			"document afterwards: {document}",
	}
	if a.All {
		hint = tell.Text{KO: "비워 두면 업종의 이익률로 계산합니다. 적으면 이 서류가 필요합니다: {document}",
			EN: "Empty: the rate of the industry counts. If there is one, this document is needed: {document}"}
	}
	rate := tell.Share(a.Programme.Rate(a.Answers[fieldIndustry]))
	in := func(l tell.Lang) string { return hint.Fill(l, "{rate}", rate, "{document}", evidence.In(l)) }
	out.Title = tell.Text{KO: "다른 서비스와 이익률", EN: "Another service, and your profit rate"}
	out.Fields = append(out.Fields, Field{
		Name: fieldRate, Kind: Share, Mode: "decimal", Optional: true,
		Label: tell.Text{KO: "우리 사업의 영업이익률 (%)", EN: "Operating profit rate of your business, in percent"},
		Hint:  tell.Text{KO: in(tell.Korean), EN: in(tell.English)},
		Example: tell.Text{KO: "이익률을 0에서 100 사이의 백분율로 적어 주세요. 예: 12.5",
			EN: "Write the rate as a percentage from 0 to 100, such as 12.5"},
	})
	return out
}
