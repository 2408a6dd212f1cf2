package review

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// Found is what a desk knows of the claims that a text means, for the page on which people are looked up.
type Found struct {
	Section g.Node   // of the page; nil: there is nothing to say
	Users   []string // IDs in the service that the owners of those claims have
	Only    bool     // the text is no user's ID
}

// Question is one text that somebody looks for, and why.
type Question struct {
	Text, Why string
	Lang      tell.Lang
	Root      string // where the desk begins, from the page on
}

var (
	oneToken = regexp.MustCompile(`^[^\s,;|]{1,64}$`)
	phoneIs  = regexp.MustCompile(`^(\+|0)[0-9][0-9 ().-]{6,20}$`)
)

// Find looks for claims by their number, the number of a business, that of an earlier report, a phone, or the owner's ID in the
// service. By the last two it
// looks only for those who may see who owners are, with a reason; each claim's history keeps that they did. Several texts at once
// are none of them.
func (d *Desk) Find(ctx context.Context, who *Staff, q *Question) (*Found, error) {
	text := strings.TrimSpace(norm.NFKC.String(q.Text))
	isPhone := phoneIs.MatchString(text)
	if text == "" || !isPhone && !oneToken.MatchString(text) {
		return &Found{}, nil
	}
	s := &searching{desk: d, who: who, q: q, why: strings.TrimSpace(q.Why), text: text}
	if err := s.look(ctx, isPhone); err != nil {
		return nil, err
	}
	return &Found{Section: s.section(isPhone), Users: s.users, Only: s.only}, nil
}

// searching is one search.
type searching struct {
	desk  *Desk
	who   *Staff
	q     *Question
	why   string
	text  string
	lines []store.Line
	found []store.Report // earlier reports
	users []string
	only  bool // it can be nobody's ID in the service
	asks  bool // with a reason, or another duty, more would be found
}

func (s *searching) look(ctx context.Context, isPhone bool) error {
	add := func(by store.By, what string) error {
		found, err := s.desk.Store.Find(ctx, s.desk.Programme.Name, by, what)
		for _, l := range found {
			if !slices.ContainsFunc(s.lines, func(o store.Line) bool { return o.ID == l.ID }) {
				s.lines = append(s.lines, l)
			}
		}
		return err
	}
	if err := add(store.ByClaim, s.text); err != nil {
		return err
	}
	s.only = len(s.lines) > 0 || isPhone
	if unit, err := claims.ParseBusinessNumber(s.text); err == nil {
		if err := add(store.ByUnit, string(unit)); err != nil {
			return err
		}
	}
	if err := s.reports(ctx); err != nil {
		return err
	}
	if may := s.who.seesPeople() && s.why != ""; !may {
		s.asks = true
		return s.recorded(ctx)
	}
	by := store.ByUser
	if isPhone {
		by = store.ByPhone
	}
	if err := add(by, s.text); err != nil {
		return err
	}
	for i := range s.lines {
		person, err := s.desk.Store.ReadPerson(ctx, s.lines[i].ID, s.who.actor(), s.who.From, "looked up: "+s.why)
		if err != nil {
			return err
		}
		if person != nil && person.User != "" && !slices.Contains(s.users, person.User) {
			s.users = append(s.users, person.User)
		}
	}
	return nil
}

// reports finds earlier reports by their number, or that of the business, and adds them to the access log.
func (s *searching) reports(ctx context.Context) error {
	filter := store.ReportFilter{Programme: s.desk.Programme.Name, Number: s.text}
	if unit, err := claims.ParseBusinessNumber(s.text); err == nil {
		filter.Number, filter.Unit = "", unit
	}
	var err error
	if s.found, err = s.desk.Store.Reports(ctx, filter); err != nil || len(s.found) == 0 {
		return err
	}
	if strings.Trim(filter.Number, "0123456789") != "" { // digits alone may be a user's ID as well
		s.only = true
	}
	line := s.who.Reading(store.ReadList, s.why)
	line.Programme, line.Reports = filter.Programme, store.ReportNumbers(s.found)
	return s.desk.Store.Read(ctx, line)
}

// recorded adds to the access log that claims are listed, and nobody's owner is shown.
func (s *searching) recorded(ctx context.Context) error {
	return s.desk.Store.Read(ctx, s.who.Reading(store.ReadList, s.why, store.IDs(s.lines)...))
}

func (s *searching) section(isPhone bool) g.Node {
	say := func(ko, en string) string { return t(s.q.Lang, ko, en) }
	var says string
	switch {
	case !s.asks:
	case !s.who.seesPeople():
		says = say("전화번호나 사용자 ID로 신청을 찾는 일은 접수, 심사, 결정 담당자만 할 수 있습니다.",
			"Looking for claims by phone or user ID is for those who take claims in, judge or decide.")
	case isPhone || len(s.lines) == 0:
		says = say("전화번호나 사용자 ID로 신청을 찾으려면 사유를 입력하세요. 신청의 기록에 남습니다.",
			"To look for claims by phone or user ID, write why: the claim's history keeps it.")
	default:
		says = say("신청인이 서비스에서 누구인지 보려면 사유를 입력하세요. 신청의 기록에 남습니다.",
			"To see who the owner is in the service, write why: the claim's history keeps it.")
	}
	if len(s.lines)+len(s.found) == 0 && says == "" {
		says = say("이 번호로 접수된 신청이 없습니다.", "No claim has this number.")
	}
	list := g.Map(s.lines, func(l store.Line) g.Node {
		return h.Li(h.Data("claim", l.ID), h.A(h.Href(s.q.Root+"claims/"+l.ID), h.Code(g.Text(l.ID))), g.Text(" "),
			stateChip(s.q.Lang, l.State), g.Text(" "+l.Unit.String()+" · "),
			g.Text(say("접수 ", "received ")+s.q.Lang.Moment(l.Received, s.desk.Programme.Zone)),
			g.If(l.Tier > 0, g.Text(" · "+say("구간 ", "tier ")+strconv.Itoa(l.Tier))))
	})
	return h.Section(h.ID("claims"), h.Class("card"), h.Aria("labelledby", "claims-title"),
		h.H2(h.ID("claims-title"), g.Text(say("피해 신청", "Damage claims"))),
		g.If(len(s.lines) > 0, h.Ul(h.ID("claims-list"), h.Class("plain-list"), list)),
		g.If(len(s.found) > 0, h.Ul(h.ID("reports-list"), h.Class("plain-list"),
			reportItems(s.q.Lang, s.q.Root, s.desk, s.found))),
		g.If(says != "", h.P(h.ID("claims-note"), h.Class("note"), g.Text(says))))
}
