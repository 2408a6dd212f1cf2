package searchpage

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/url"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
)

// Rejected is the page of records that held no valid user ID.
type Rejected struct {
	Campaign, Reason, At string // as they were asked for
	Input                *grant.Input
	Listing              *rejected.Listing // nil: it could not be had
	Kinds                []source.Reason   // of Listing, in their order
}

// excerptBytes is how much of a record a list shows; shownBytes how much its own page does.
const (
	excerptBytes = 60
	shownBytes   = 4096
)

// RejectedRecords renders the list, or one record.
func RejectedRecords(w io.Writer, v *View, page *Rejected) error {
	t := v.words()
	title := t.rejectedTitle() + " – " + page.Campaign
	var inside g.Group
	switch {
	case page.Listing == nil:
	case page.At != "" && len(page.Listing.Last) == 0:
		inside = append(
			inside,
			h.P(g.Text(t.in("No record was rejected at this place of the topic.", "토픽의 이 위치에서 거부된 레코드가 없습니다."))),
		)
	case page.At != "":
		for i := range page.Listing.Last {
			inside = append(inside, v.record(page, &page.Listing.Last[i]))
		}
	default:
		inside = append(inside, v.rejectedSummary(page), v.rejectedRows(page))
	}
	back := h.A(h.Href(v.Root+"campaigns/"+page.Campaign+"/"), g.Text(t.in("The campaign", "캠페인으로")))
	if page.At != "" || page.Reason != "" {
		back = h.A(h.Href(v.rejectedAddress(page.Campaign, nil)), g.Text(t.in("All rejected records", "거부된 레코드 전체")))
	}
	return v.framed(w, title, h.Section(h.Class("card"), h.Aria("labelledby", "title"), h.H1(h.ID("title"), g.Text(title)),
		v.problem(),
		inside, h.P(h.Class("back"), back)))
}

func (v *View) rejectedAddress(campaign string, query url.Values) string {
	at := v.Root + "users/rejected/" + campaign
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	return at
}

// rejectedSummary says how many there are, by reason, and what to do.
func (v *View) rejectedSummary(page *Rejected) g.Node {
	t, list := v.words(), page.Listing
	reasons := make(g.Group, 0, len(page.Kinds))
	for _, reason := range page.Kinds {
		reasons = append(reasons, h.Li(
			h.A(
				h.Href(v.rejectedAddress(page.Campaign, url.Values{"reason": {string(reason)}})),
				g.Text(t.rejectedReason(reason)),
			),
			g.Text(": "+v.Lang.Number(list.Reasons[reason])),
		))
	}
	return g.Group{
		h.P(
			h.ID("rejected"),
			h.Strong(g.Text(fmt.Sprintf(t.in("%s records held no valid user ID.", "사용자 ID를 읽을 수 없는 레코드가 %s개 있습니다."),
				v.Lang.Number(list.Letters)))),
			g.Text(" "),
			h.Code(g.Text(list.Topic)),
		),
		g.If(list.Replays != (grant.Replays{}), h.P(g.Text(fmt.Sprintf(
			t.in("Replayed: %s granted, %s whose users had it before.", "다시 처리: %s건 지급, %s건은 이미 지급된 사용자."),
			v.Lang.Number(list.Replays.Granted), v.Lang.Number(list.Replays.Duplicate))))),
		h.Ul(h.ID("reasons"), h.Class("plain-list"), reasons),
		g.If(list.Letters > 0, h.P(h.Class("note"), g.Text(t.in("Nobody is granted by these. When somebody says what they mean, "+
			"an engineer replays them, each once: ", "이 레코드로는 아무에게도 지급되지 않았습니다. 뜻을 확인하면 엔지니어가 한 번씩 다시 처리합니다: ")),
			h.Code(g.Text("granter rejected replay --help")))),
	}
}

// rejectedRows are the last of each partition.
func (v *View) rejectedRows(page *Rejected) g.Node {
	t := v.words()
	if len(page.Listing.Last) == 0 {
		return nil
	}
	column := func(text string) g.Node { return h.Th(h.Scope("col"), g.Text(text)) }
	return g.Group{
		h.H2(h.ID("last-title"), g.Text(t.in("The last of each partition", "파티션별 최근 레코드"))),
		h.Div(h.Class("list-rows"), h.Role("region"), h.Aria("labelledby", "last-title"), h.TabIndex("0"), h.Table(h.ID("last"),
			h.THead(h.Tr(column(t.in("Partition/offset", "파티션/오프셋")), column(t.in("Reason", "이유")),
				column(t.in("Holds", "내용")), column(t.in("What became of it", "처리 결과")))),
			h.TBody(g.Map(page.Listing.Last, func(r rejected.Record) g.Node {
				place := r.Place().String()
				return h.Tr(
					h.Th(h.Scope("row"), h.A(h.Href(v.rejectedAddress(page.Campaign, url.Values{"at": {place}})), g.Text(place))),
					h.Td(g.Text(t.rejectedReason(r.Reason))),
					h.Td(h.Code(g.Text(quoted(r.Holder(page.Input), excerptBytes)))),
					h.Td(g.Text(t.replayed(r.Replayed))))
			})))),
	}
}

// record is all of one.
func (v *View) record(page *Rejected, r *rejected.Record) g.Node {
	t := v.words()
	pair := func(name string, says ...g.Node) g.Node { return h.Div(h.Dt(g.Text(name)), h.Dd(says...)) }
	bytes := func(name string, data []byte) g.Node {
		return pair(name, h.Code(g.Text(quoted(data, shownBytes))), g.If(len(data) > 0, h.P(h.Class("note"),
			g.Text(t.in("in hexadecimal: ", "16진수: ")), h.Code(g.Text(hex.EncodeToString(data[:min(len(data), shownBytes)]))))))
	}
	out := g.Group{
		pair(t.in("Where it was", "위치"), h.Code(g.Text(page.Input.Topic+" "+r.Place().String()))),
		pair(t.in("Reason", "이유"), g.Text(t.rejectedReason(r.Reason)+" "), h.Code(g.Text(string(r.Reason)))),
		pair(t.in("Rejected by run", "거부한 실행"), h.Code(g.Text(r.Run.String()))),
		pair(t.in("What became of it", "처리 결과"), g.Text(t.replayed(r.Replayed))),
		bytes(t.in("Key", "키"), r.Key), bytes(t.in("Value", "값"), r.Value),
	}
	if r.Whole > 0 {
		out = append(out, pair(t.in("Size", "크기"), g.Text(fmt.Sprintf(
			t.in("It had %s bytes, and was cut.", "원래 %s바이트였고 잘렸습니다."), v.Lang.Number(int64(r.Whole))))))
	}
	for _, header := range r.Headers {
		out = append(out, bytes(t.in("Header ", "헤더 ")+fmt.Sprintf("%+q", header.Name), header.Value))
	}
	return h.Dl(h.ID("record"), h.Class("source"), out)
}

// quoted shows bytes of strangers, as far as they are to be shown.
func quoted(data []byte, most int) string {
	if data == nil {
		return "–"
	}
	return rejected.Quote(data, most)
}

func (t *words) rejectedTitle() string { return t.in("Rejected records", "거부된 레코드") }

func (t *words) replayed(r *rejected.Replayed) string {
	switch {
	case r == nil:
		return t.in("nothing yet", "처리되지 않음")
	case r.Result == rejected.Granted:
		return t.user(r.User) + t.in(" was granted", ": 지급됨")
	case r.Result == rejected.Duplicate:
		return t.user(r.User) + t.in(" had it before", ": 이미 지급된 사용자")
	}
	return t.user(r.User) + t.in(": the replay was cut off, do it again", ": 다시 처리하다 중단됨, 다시 실행하세요")
}

// reasons say why a record was rejected.
var reasons = map[source.Reason][2]string{
	source.ReasonEmpty:         {"no value", "값이 없음"},
	source.ReasonTombstone:     {"the user was deleted (a key without a value)", "삭제된 사용자(값 없는 키)"},
	source.ReasonJSON:          {"not JSON", "JSON이 아님"},
	source.ReasonNoField:       {"the field is missing", "필드가 없음"},
	source.ReasonFieldType:     {"the field is no whole number", "필드가 정수가 아님"},
	source.ReasonAmbiguous:     {"the field is there more than once", "필드가 두 번 이상 있음"},
	source.ReasonLength:        {"not 8 bytes", "8바이트가 아님"},
	source.ReasonNoHeader:      {"the header is missing", "헤더가 없음"},
	source.ReasonNegative:      {"negative", "음수"},
	source.ReasonSign:          {"begins with a plus sign", "더하기 기호로 시작"},
	source.ReasonSpace:         {"white space", "공백 문자가 있음"},
	source.ReasonLeadingZero:   {"a leading zero", "0으로 시작"},
	source.ReasonNotDecimal:    {"not a decimal number", "10진수가 아님"},
	source.ReasonOverLimit:     {"above the limit for IDs", "ID 한도를 넘음"},
	source.ReasonNotUUID:       {"not a UUID", "UUID가 아님"},
	source.ReasonNotUTF8:       {"not UTF-8", "UTF-8이 아님"},
	source.ReasonTooLong:       {"more than 256 bytes", "256바이트를 넘음"},
	source.ReasonNoSchemaID:    {"no schema ID in front", "앞에 스키마 ID가 없음"},
	source.ReasonUnknownSchema: {"its schema is not in the spec", "스펙에 없는 스키마"},
	source.ReasonUnusable:      {"a schema of another format", "다른 형식의 스키마"},
	source.ReasonMalformed:     {"not what its schema says", "스키마와 다른 내용"},
}

// Reasons are what pages say, in English and Korean, of each reason to reject a record.
func Reasons() map[source.Reason][2]string { return maps.Clone(reasons) }

func (t *words) rejectedReason(r source.Reason) string {
	if says, ok := reasons[r]; ok {
		return t.in(says[0], says[1])
	}
	return string(r)
}
