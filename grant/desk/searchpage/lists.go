package searchpage

import (
	"fmt"
	"io"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

// Fields of the form of a list, beside those of its act.
const (
	FieldFile = "file"
	FieldName = "name" // of the file
	FieldStep = "step"
	StepFile  = "file" // give the file back
)

// List is an act about the users of a file: the form, what is to be confirmed, or what became of it.
type List struct {
	Act

	MostRows, MostBytes int
	Name                string // of the file

	Overall  string // SUCCESS, PARTIAL, FAILED or PROPOSED; empty: nothing was tried
	Counts   map[string]int
	Again    int // rows that an earlier upload of the same did
	Repeated int // rows with a user who came before
	Proposal *grant.Proposal
	first    []ListRow // of those that are, or would be, done
	wrong    []ListRow // of the others
}

// ListRow is a row of the file, and what became of it.
type ListRow struct {
	Line              int
	Text, Status, Why string
	Code              grant.WhyNot
}

// How many rows are shown. All of them are in the file that is given back.
const mostFirst = 10 // of those that would be done; of those that would not, lookup.MaxAtOnce

// Add adds what became of a row.
func (l *List) Add(row ListRow) {
	switch {
	case row.Status == "done":
		if len(l.first) < mostFirst {
			l.first = append(l.first, row)
		}
	case len(l.wrong) < lookup.MaxAtOnce:
		l.wrong = append(l.wrong, row)
	}
}

// Lists renders a link for each act in each campaign.
func Lists(w io.Writer, v *View, campaigns []string, may func(string, grant.ActKind) bool) error {
	t := v.words()
	var out g.Group
	for _, campaign := range campaigns {
		var links g.Group
		for _, kind := range grant.ListKinds() {
			if may(campaign, kind) {
				links = append(links, h.Li(h.A(h.Class("act"), h.Href(v.listAddress(campaign, kind)), g.Text(t.do(kind)))))
			}
		}
		if len(links) > 0 {
			out = append(out, h.Nav(h.Class("answer"), h.Aria("label", t.mayDo(campaign)), h.H2(g.Text(campaign)),
				h.Ul(h.Class("todo"), links)))
		}
	}
	if len(out) == 0 {
		out = append(out, h.P(g.Text(t.in("There is no campaign in which you may do this.", "처리할 수 있는 캠페인이 없습니다."))))
	}
	return v.framed(w, t.listsTitle(), h.Section(h.Class("card"), h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), g.Text(t.listsTitle())),
		h.P(g.Text(t.in("What is to be done to the users of a file? Nothing is done before you have seen what will happen.",
			"파일에 있는 사용자에게 무엇을 할까요? 실행될 내용을 확인하기 전에는 아무것도 실행하지 않습니다."))),
		out, h.P(h.A(h.Href(v.Root+"users"), g.Text(t.title)))))
}

func (v *View) listAddress(campaign string, kind grant.ActKind) string {
	return v.Root + "users/lists/acts/" + campaign + "/" + string(kind)
}

// Form renders the form, what is to be confirmed, or what became of it.
func (l *List) Form(w io.Writer) error {
	t := l.words()
	title := t.do(l.Kind) + " – " + t.listsTitle()
	var inside g.Node
	switch {
	case l.Overall == "":
		inside = l.ask()
	case l.Confirm:
		inside = l.toConfirm()
	default:
		inside = l.result()
	}
	return l.framed(w, title, h.Section(h.Class("card"), h.Aria("labelledby", "title"), h.H1(h.ID("title"), g.Text(title)),
		h.P(l.title(&lookup.Answer{Campaign: l.Campaign.Name, Title: l.Campaign.Title})),
		l.problem(), inside))
}

func (l *List) form(id string, more ...g.Node) g.Node {
	return h.Form(
		h.ID(id),
		h.Class("list-form"),
		h.Method("post"),
		h.Action(l.listAddress(l.Campaign.Name, l.Kind)),
		g.Group(more),
	)
}

// ask is the form that takes the file.
func (l *List) ask() g.Node {
	t := l.words()
	help := t.in("A CSV file: a user a row, or a header with the columns user and, if rows have values of their own, reason. "+
		"Or one ID a line. At most %s users and %d MiB.",
		"CSV 파일: 한 줄에 사용자 한 명, 또는 user 열(줄마다 다른 사유가 있으면 reason 열)이 있는 머리글. 한 줄에 ID 하나씩도 됩니다. 최대 %s명, %d MiB.")
	if l.Kind == grant.ActMove {
		help = t.in("A CSV file with a header that has the columns user and to, and reason if rows have their own. "+
			"At most %s users and %d MiB.", "user 열과 to 열(줄마다 다른 사유가 있으면 reason 열)이 있는 CSV 파일. 최대 %s명, %d MiB.")
	}
	return l.form("act", h.EncType("multipart/form-data"), h.Aria("labelledby", "title"),
		h.Div(
			h.Class("field"),
			h.Label(h.For("f-"+FieldFile), g.Text(t.in("File", "파일"))),
			h.Input(
				h.ID("f-"+FieldFile),
				h.Name(FieldFile),
				h.Type("file"),
				h.Accept(".csv,.txt,text/csv,text/plain"),
				h.Required(),
				h.Aria("describedby", "file-help"),
			),
			h.P(
				h.ID("file-help"),
				h.Class("note"),
				g.Text(fmt.Sprintf(help, t.lang.Number(int64(l.MostRows)), l.MostBytes>>20)),
			),
		),
		l.fields(), h.Div(h.Class("act-row"), l.back()))
}

func (l *List) back() g.Node {
	t := l.words()
	return h.A(h.Href(l.Root+"users/lists"), h.ID("back"), g.Text(t.in("Back to the lists", "목록 처리로 돌아가기")))
}

func (l *List) carried() g.Node {
	return g.Group{
		h.Input(h.Type("hidden"), h.Name(FieldFile), h.Value(l.Fields[FieldFile])),
		h.Input(h.Type("hidden"), h.Name(FieldName), h.Value(l.Name)),
		l.hidden(),
	}
}

// download is the form that gives the file back.
func (l *List) download(label string) g.Node {
	return l.form("give-back", h.Aria("label", label), l.carried(),
		h.Button(h.Type("submit"), h.ID("download"), h.Name(FieldStep), h.Value(StepFile), g.Text(label)))
}

// toConfirm says what will happen.
func (l *List) toConfirm() g.Node {
	t := l.words()
	fresh := l.Counts["done"] - l.Again
	out := g.Group{h.Div(h.ID("happens"), h.H2(g.Text(t.in("This will happen", "다음이 실행됩니다"))),
		h.Ul(h.Class("plain-list"), g.Map(t.listHappens(l, fresh), func(line string) g.Node { return h.Li(g.Text(line)) })),
		h.P(g.Text(t.in("Reason:", "사유:")+" "), h.Q(g.Text(l.Fields[FieldReason]))))}
	if fresh > 0 {
		yes := t.in("Yes: ", "확인: ") + t.do(l.Kind) + ", " + t.users(fresh)
		if l.TakesTwo {
			yes = t.yes(l.Kind, true)
		}
		out = append(out, l.form("confirmed", h.Aria("label", t.in("Confirm", "확인")), l.carried(),
			h.Button(h.Type("submit"), h.Class("primary"), h.ID("confirm"), g.Text(yes))))
	}
	return append(out, l.rows(t.in("The first of them", "처음 몇 명")),
		l.download(t.in("Download the file with the dry run’s results (CSV)", "예상 결과가 적힌 파일 내려받기(CSV)")), h.P(l.back()))
}

// result says what became of it.
func (l *List) result() g.Node {
	t := l.words()
	out := g.Group{h.P(h.ID("result"), h.Class("notice"), h.Role("status"), g.Text(l.Overall+": "+t.listResult(l)))}
	if l.Overall == "PROPOSED" {
		out = append(out, h.P(h.A(h.ID("queue"), h.Href(l.Root+"users/waiting"), g.Text(t.waitingTitle()))))
	}
	if l.Counts["untried"] > 0 {
		out = append(out, l.form(
			"confirmed",
			h.Aria("label", t.in("Go on", "이어서 실행")),
			l.carried(),
			h.Button(
				h.Type("submit"),
				h.Class("primary"),
				h.ID("confirm"),
				g.Text(t.in("Go on with what is left", "남은 사용자 이어서 실행")),
			),
		))
	}
	return append(out, l.rows(t.in("The first of them", "처음 몇 명")),
		l.download(t.in("Download the file with what became of each row (CSV)", "줄별 결과가 적힌 파일 내려받기(CSV)")), h.P(l.back()))
}

// rows are tables of those that are not done, and of the first others.
func (l *List) rows(first string) g.Node {
	t := l.words()
	var out g.Group
	if len(l.wrong) > 0 {
		out = append(out, l.table("wrong", t.in("Rows that are not done", "실행되지 않는 줄"), l.wrong))
		if n := l.Counts["unchanged"] + l.Counts["refused"] + l.Counts["invalid"] + l.Counts["untried"] - len(l.wrong); n > 0 {
			out = append(out, h.P(h.Strong(g.Text(fmt.Sprintf(t.in("%s rows more are in the file below.",
				"그 밖의 %s줄은 아래 파일에 있습니다."), t.lang.Number(int64(n)))))))
		}
	}
	if len(l.first) > 0 {
		out = append(out, l.table("first", first, l.first))
	}
	return out
}

func (l *List) table(id, caption string, rows []ListRow) g.Node {
	t := l.words()
	dry := l.Confirm || l.Overall == "PROPOSED"
	head := func(text string) g.Node { return h.Th(h.Scope("col"), g.Text(text)) }
	return h.Div(h.Class("list-rows"), h.Role("region"), h.Aria("labelledby", id+"-title"), h.TabIndex("0"), h.Table(h.ID(id),
		h.Caption(h.ID(id+"-title"), g.Text(caption)),
		h.THead(h.Tr(head(t.in("Line", "줄")), head(t.in("Row", "내용")), head(t.in("Result", "결과")), head(t.in("Why", "이유")))),
		h.TBody(g.Map(rows, func(row ListRow) g.Node {
			return h.Tr(h.Th(h.Scope("row"), g.Text(strconv.Itoa(row.Line))), h.Td(g.Text(row.Text)),
				h.Td(g.Text(t.rowStatus(row.Status, dry))), h.Td(t.whyNot(row.Code, row.Why)))
		}))))
}

func (t *words) listsTitle() string { return t.in("Lists of users", "사용자 목록 처리") }

func (t *words) rowStatus(status string, dry bool) string {
	switch {
	case status == "done" && dry:
		return t.in("would be done", "실행 예정")
	case status == "done":
		return t.in("done", "완료")
	case status == "unchanged":
		return t.in("unchanged", "이미 그 상태")
	case status == "refused":
		return t.in("refused", "거부됨")
	case status == "invalid":
		return t.in("cannot be read", "읽을 수 없음")
	}
	return t.in("not tried yet", "아직 실행 안 함")
}

// listHappens says what an act does to the users of a file.
func (t *words) listHappens(l *List, fresh int) []string {
	var out []string
	say := func(en, ko string, args ...any) { out = append(out, fmt.Sprintf(t.in(en, ko), args...)) }
	number := func(n int) string { return t.lang.Number(int64(n)) }
	all := 0
	for _, n := range l.Counts {
		all += n
	}
	what := t.do(l.Kind)
	if more := t.details(&grant.Act{
		Revocation: grant.RevocationKind(l.Fields[FieldRevocation]), Item: l.Fields[FieldItem], Until: l.At,
	}, t.lang.Moment); more != "" {
		what += " (" + more + ")"
	}
	say(
		"%s, %s: %s of the %s rows of %s.",
		"%[2]s, %[1]s: %[5]s의 %[4]s줄 중 %[3]s줄.",
		what,
		l.Campaign.Name,
		number(fresh),
		number(all),
		l.Name,
	)
	for _, c := range []struct {
		n      int
		en, ko string
	}{
		{l.Again, "Done before by the same upload, and not done again: %s rows.", "같은 파일로 이미 실행되어 다시 실행하지 않음: %s줄."},
		{l.Repeated, "Rows whose user came before, who is acted upon once: %s.", "앞에 나온 사용자(한 번만 실행): %s줄."},
		{l.Counts["unchanged"], "As they should be already: %s rows.", "이미 그 상태: %s줄."},
		{l.Counts["refused"], "Cannot be done, why is below: %s rows.", "실행할 수 없음(이유는 아래): %s줄."},
		{l.Counts["invalid"], "Cannot be read, why is below: %s rows.", "읽을 수 없음(이유는 아래): %s줄."},
	} {
		if c.n > 0 {
			say(c.en, c.ko, number(c.n))
		}
	}
	if fresh == 0 {
		say("There is nothing to do. To do again what was done before, give another reason.",
			"실행할 것이 없습니다. 이미 실행한 것을 다시 하려면 사유를 바꾸세요.")
	}
	if l.TakesTwo {
		say("It takes two people: it is proposed, and done when somebody else approves it.",
			"두 사람이 필요합니다. 승인 요청만 하고, 다른 담당자가 승인하면 실행됩니다.")
	}
	return out
}

func (t *words) listResult(l *List) string {
	number := func(names ...string) string {
		n := 0
		for _, name := range names {
			n += l.Counts[name]
		}
		return t.lang.Number(int64(n))
	}
	if l.Overall == "PROPOSED" {
		return fmt.Sprintf(t.in("nothing was done yet; %s rows wait for a second person.",
			"아직 실행하지 않았습니다. %s줄이 두 번째 담당자의 승인을 기다립니다."), number("done"))
	}
	return fmt.Sprintf(t.in("%s rows done, %s as they were, %s refused, %s not readable, %s not tried yet.",
		"완료 %s줄, 이미 그 상태 %s줄, 거부 %s줄, 읽을 수 없음 %s줄, 아직 실행 안 함 %s줄."),
		number("done"), number("unchanged"), number("refused"), number("invalid"), number("untried"))
}

// Stopped says that not all was done.
func Stopped(l lookup.Lang, detail string) string {
	return (&View{Lang: l}).words().in("It stopped before all was done: "+detail, "모두 실행하기 전에 멈췄습니다: "+detail)
}
