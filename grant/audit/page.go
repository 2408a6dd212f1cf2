package audit

import (
	"fmt"
	"io"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/text"
)

// pageStyle is for paper: one column, black on white, nothing that has to be loaded.
const pageStyle = `body{font:10.5pt/1.45 system-ui,"Noto Sans KR",sans-serif;
max-width:17cm;margin:1.5cm auto;padding:0 1em;color:#111;background:#fff}
h1{font-size:16pt;margin:0}h2{font-size:12pt;margin:1.4em 0 .4em}
.verdict{border:2pt solid #111;padding:.6em .9em;margin:1em 0;font-weight:600}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;
padding:.15em .8em .15em 0;border-bottom:.5pt solid #bbb}
td.n,th.n{text-align:right}code,.hash{font-family:ui-monospace,monospace;font-size:8.5pt;overflow-wrap:anywhere}
section{break-inside:avoid}@page{size:A4;margin:1.5cm}@media print{body{margin:0;max-width:none}}`

// Page writes the report as a page to print. name is what a later report names this one by; empty: it is not signed.
func (r *Report) Page(w io.Writer, lang, name, key string) error {
	t := words(lang)
	rows := make([]g.Node, 0, 16)
	for _, row := range r.Rows(lang) {
		rows = append(rows, h.Tr(h.Th(h.Scope("row"), g.Text(row[0])), h.Td(h.Class("hash"), g.Text(row[1]))))
	}
	seal := []g.Node{h.P(g.Text(t.unsigned))}
	if name != "" {
		seal = []g.Node{h.P(g.Text(t.signed+" "), h.Code(g.Text(key))), h.P(g.Text(t.printed+" "), h.Code(g.Text(name)))}
		if r.Previous != nil {
			seal = append(seal, h.P(g.Text(t.before+" "), h.Code(g.Text(r.Previous.SHA256))))
		}
	}
	return h.Doctype(h.HTML(h.Lang(t.lang),
		h.Head(h.Meta(h.Charset("utf-8")), h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.TitleEl(g.Text(t.heading+": "+r.Campaign)), h.StyleEl(g.Raw(pageStyle))),
		h.Body(h.Main(
			h.H1(g.Text(t.heading)), h.P(g.Text(r.Campaign+": "+r.Title)),
			h.P(h.Class("verdict"), g.Text(r.Sentence(lang))),
			h.Table(h.TBody(rows...)),
			h.H2(g.Text(t.partitions)), r.partitionTable(t),
			g.If(len(r.Findings) > 0, g.Group{h.H2(g.Text(t.findings)), g.Map(r.Findings, findingNode)}),
			h.H2(g.Text(t.seal)), g.Group(seal),
		)),
	)).Render(w)
}

func (r *Report) partitionTable(t *vocabulary) g.Node {
	names := []string{t.partition, t.first, t.checkpoint, t.end, t.records, t.malformed}
	return h.Table(
		h.THead(h.Tr(g.Map(names, func(name string) g.Node { return h.Th(h.Class("n"), h.Scope("col"), g.Text(name)) })...)),
		h.TBody(g.Map(r.Topic.Partitions, func(p Partition) g.Node {
			cells := []int64{int64(p.Partition), p.First, p.Checkpoint, p.End, p.Records, p.Malformed}
			return h.Tr(g.Map(cells, func(n int64) g.Node { return h.Td(h.Class("n"), g.Text(text.Number(n))) })...)
		})...),
	)
}

func findingNode(f Finding) g.Node {
	return h.Section(
		h.P(h.Strong(g.Text(string(f.Kind))), g.Text(" "+f.Where+": "+f.What+fmt.Sprintf(" (%s)", text.Number(f.Count)))),
		g.If(
			len(f.Users) > 0,
			h.P(h.Class("hash"), g.Map(f.Users, func(u string) g.Node { return g.Text(u + " ") }), g.Text(f.more())),
		),
		h.P(g.Text(f.Do)),
	)
}
