package searchpage

import (
	"fmt"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/lookup"
)

// trace is what the topic has of the user or, before that was asked for, a link that asks.
func (v *View) trace(a *lookup.Answer) g.Node {
	t := v.words()
	if a.Trace == nil {
		if !a.Known {
			return nil
		}
		return h.P(h.A(h.Class("trace"), h.Href(v.address(a.User)+"/trace/"+a.Campaign), h.Rel("nofollow"),
			g.Text(t.lookIntoTopic(a.Granted))), g.Text(" "), h.Span(h.Class("note"), g.Text(t.traceTakes())))
	}
	found := a.Trace
	return h.Section(h.Class("trace"), h.Aria("label", t.traceTitle()), h.H4(g.Text(t.traceTitle())),
		h.P(h.Strong(g.Text(t.traceTimes(found)))),
		g.If(found.Problem != "", h.P(h.Class("note"), h.Lang("en"), g.Text(found.Problem))),
		g.If(len(found.Records) > 0, h.Ul(h.Class("plain-list"), g.Map(found.Records, func(r lookup.Record) g.Node {
			at := t.noTime()
			if r.Time != nil {
				at = v.Lang.Moment(r.Time.In(a.Zone()))
			}
			return h.Li(h.Code(g.Text(fmt.Sprintf("%s %d: %d", r.Topic, r.Partition, r.Offset))), g.Text(" · "+at+" · "),
				h.Code(g.Text("key "+shown(r.Key)+", value "+shown(r.Value)+headers(r.Headers))))
		}))),
		g.If(len(found.Letters) > 0, h.Ul(h.Class("plain-list"), g.Map(found.Letters, func(l lookup.Letter) g.Node {
			return h.Li(g.Text(t.traceLetter()+" "), h.Code(g.Text(fmt.Sprintf("%d: %d (%s) %s", l.Partition, l.Offset, l.Reason,
				l.Value))))
		}))),
		h.P(h.A(h.Href(v.address(a.User)), g.Text(t.traceBack()))),
	)
}

func shown(field *string) string {
	if field == nil {
		return "–"
	}
	return *field
}

func headers(list []lookup.Header) string {
	var out strings.Builder
	for _, one := range list {
		out.WriteString(", " + one.Key + "=" + shown(one.Value))
	}
	return out.String()
}

func (t *words) lookIntoTopic(granted bool) string {
	if granted {
		return t.in("Show the record itself", "레코드 보기")
	}
	return t.in("Search the topic for this user", "토픽에서 이 사용자 찾기")
}

func (t *words) traceTakes() string {
	return t.in("It reads Kafka, and takes up to ten seconds.", "Kafka를 읽으며 최대 10초 걸립니다.")
}

func (t *words) traceTitle() string { return t.in("In the topic", "토픽에서 찾은 것") }
func (t *words) noTime() string     { return t.in("without a time", "시각 없음") }
func (t *words) traceLetter() string {
	return t.in("Rejected, in the dead letters:", "거부됨(데드 레터):")
}
func (t *words) traceBack() string {
	return t.in("All campaigns of this user", "이 사용자의 모든 캠페인")
}

func (t *words) traceTimes(found *lookup.Trace) string {
	where := t.in("in the ranges of the grant", "지급에 쓰인 범위")
	if found.Whole {
		where = t.in("in the whole topic", "토픽 전체")
	}
	return fmt.Sprintf(t.in("The ID is there %[1]s times, %[2]s; %[3]s records were searched.",
		"ID가 %[1]s번 나옵니다(%[2]s). 레코드 %[3]s개를 검색했습니다."),
		t.lang.Number(found.Times), where, t.lang.Number(found.Searched))
}
