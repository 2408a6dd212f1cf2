package review

import (
	"net/http"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// person shows who the owner of a claim is, for a reason that history keeps.
func (d *Desk) person(w http.ResponseWriter, r *http.Request, who Staff) {
	why, err := readWhy(r)
	switch {
	case !who.seesPeople():
		err = claims.Illegal("who owners are is for those who take claims in, judge or decide")
	case err == nil && why == "":
		err = claims.Refuse(ErrForm, "say why you need to know who it is")
	}
	var person *store.Person
	if err == nil {
		person, err = d.look(r, &who, why)
	}
	var k *known
	if err == nil {
		k, err = d.read(r, &who)
	}
	v := d.view(w, r, who)
	if err != nil {
		d.refuse(w, r, v, err)
		return
	}
	if person == nil {
		person = &store.Person{}
	}
	d.show(w, r, http.StatusOK, v, k, person)
}

func (v *view) person(k *known, p *store.Person) g.Node {
	switch {
	case k.Erased:
		return v.section("person", "신청인", "The owner", h.P(v.t("개인정보를 삭제했습니다.", "Who it was has been erased.")))
	case !v.who.seesPeople():
		return nil
	case p == nil:
		return v.section("person", "신청인", "The owner", v.posts(v.root+"claims/"+k.ID+"/person", "see-person",
			h.Label(h.For("person-why"), v.t("개인정보를 보는 이유 (기록에 남음)", "Why you need to know who it is (kept in history)")),
			h.Div(h.Class("search-row"), h.Input(h.ID("person-why"), h.Name(fieldWhy),
				h.Value(v.written("see-person", fieldWhy, "")), h.Required(), h.AutoComplete("off")),
				h.Button(h.Type("submit"), v.t("보기", "Show")))))
	}
	return v.section("person", "신청인", "The owner", h.Dl(h.Class("pairs"),
		v.pair("상호", "Business", g.Text(p.Business)), v.pair("대표자", "Representative", g.Text(p.Representative)),
		v.pair("전화", "Phone", g.Text(p.Phone)), g.If(p.Email != "", v.pair("이메일", "Email", g.Text(p.Email))),
		g.If(p.Address != "", v.pair("주소", "Address", g.Text(p.Address))),
		v.pair("계좌", "Account", g.Text(p.Bank+" "+p.Account+" · "+p.Holder))))
}

// document gives a document out, as a download.
func (d *Desk) document(w http.ResponseWriter, r *http.Request, who Staff) {
	err := claims.Illegal("documents are for those who take claims in, judge or decide")
	var doc *store.Kept
	var data []byte
	if who.seesPeople() && d.Documents != nil {
		doc, data, err = d.Documents.Open(r.Context(), r.PathValue("claim"), r.PathValue("digest"))
		if err == nil { // what cannot be recorded is not shown
			_, err = d.look(r, &who, "document "+doc.Digest[:12])
		}
	}
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	download(w, r.PathValue("claim")+"-"+doc.Kind+documents.Ending(doc.Type), data)
}

// download gives a document out, and never as a page.
func download(w http.ResponseWriter, name string, data []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", "attachment; filename="+strconv.Quote(name))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) //nolint:gosec // a download that nothing shows as a page; and the client may have gone
}

func size(bytes int64) string { return text.Number((bytes+1023)/1024) + " KiB" }
