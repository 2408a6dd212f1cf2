package owner

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/questions"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// kinds are the documents that may be sent: those that the claim's tier asks for first.
func (v *visit) kinds() []questions.Option {
	var out []questions.Option
	add := func(kind string) {
		name, _ := tell.Document(kind)
		if !slices.ContainsFunc(out, func(o questions.Option) bool { return o.Value == kind }) {
			out = append(out, questions.Option{Value: kind, Label: name})
		}
	}
	if v.claim.Proposal != nil {
		for _, kind := range v.claim.Proposal.Documents {
			add(kind)
		}
	}
	add(tell.OtherDocument)
	return out
}

func showDocuments(v *visit) error { return v.documentsPage("") }

func (v *visit) documentsPage(problem string) error {
	if v.Documents == nil {
		return v.notFound()
	}
	all, err := v.Store.Documents(v.ctx(), v.id)
	if err != nil {
		return err
	}
	kept := store.Sent(all)
	title := v.t("서류", "Documents")
	var sent g.Group
	for i := range kept {
		sent = append(sent, h.Li(v.document(&kept[i])))
	}
	body := g.Group{
		g.If(problem != "", h.Div(h.Class("box bad"), h.Role("alert"), h.ID("problem"), h.P(g.Text(problem)))),
		v.heading(title),
	}
	if v.r.URL.Query().Has("done") {
		body = append(
			g.Group{h.Div(h.Class("box good"), h.Role("status"), h.P(g.Text(v.t("서류를 받았습니다.", "We have the document."))))},
			body...)
	}
	body = append(body, v.wanted(kept))
	if says := v.closedForDocuments(); says != "" {
		body = append(body, h.P(g.Text(says)))
	} else {
		body = append(body, v.uploadForm())
	}
	if len(sent) > 0 {
		body = append(body, h.H2(g.Text(v.t("보내신 서류", "What you sent"))), h.Ul(h.Class("plain"), sent))
	}
	return v.page(title, problem != "", append(body, h.P(v.link("/claim", "내 신청으로 돌아가기", "Back to my claim")))...)
}

// wanted are the documents that are still missing.
func (v *visit) wanted(kept []store.Kept) g.Node {
	list := v.missing(kept)
	if v.claim.State != claims.DocumentsMissing || len(list) == 0 {
		return nil
	}
	return h.Div(h.Class("box"), h.H2(g.Text(v.t("아직 필요한 서류", "Still needed"))), h.Ul(g.Map(list, func(kind string) g.Node {
		name, help := tell.Document(kind)
		return h.Li(h.Strong(g.Text(name.In(v.lang))), g.If(help.In(v.lang) != "", h.P(h.Class("note"), g.Text(help.In(v.lang)))))
	})), v.deadline())
}

// closedForDocuments says why none are taken now; empty: they are.
func (v *visit) closedForDocuments() string {
	if !documents.Accepts(v.claim.State) {
		return tell.Refused(documents.Late).In(v.lang)
	}
	if v.claim.State == claims.DocumentsMissing {
		if _, _, open := v.Programme.Open(v.windows, claims.DocumentsWindow, v.Now()); !open {
			return v.lateDocuments()
		}
	}
	return ""
}

func (v *visit) uploadForm() g.Node {
	kind := questions.Field{
		Name:    "kind",
		Kind:    questions.Choice,
		Label:   tell.Text{KO: "어떤 서류인가요?", EN: "Which document is it?"},
		Options: v.kinds(),
	}
	return h.Form(h.Method("post"), h.Action("/claim/documents"), h.EncType("multipart/form-data"),
		h.Input(h.Type("hidden"), h.Name(proofField), h.Value(proof(v.token))),
		questions.Input(v.lang, &kind, kind.Options[0].Value, ""),
		h.Div(h.Class("field"), h.Label(h.For("f-file"), g.Text(v.t("파일이나 사진", "File or picture"))),
			h.P(h.ID("f-file-hint"), h.Class("note"), g.Text(v.t("PDF, JPG, PNG, HEIC, XLSX. 10MB까지. 주민등록번호는 가리고 보내 주세요.",
				"PDF, JPG, PNG, HEIC or XLSX, up to 10 MB. Cover resident registration numbers."))),
			h.Input(h.ID("f-file"), h.Type("file"), h.Name("file"), h.Required(), g.Attr("accept", documents.Accept),
				h.Aria("describedby", "f-file-hint"))),
		h.Div(h.Class("actions"), button(v.t("보내기", "Send it"))))
}

func (v *visit) document(k *store.Kept) g.Node {
	name, _ := tell.Document(k.Kind)
	size := strconv.FormatInt((k.Size+1023)/1024, 10) + " KB"
	state := map[string]tell.Text{
		documents.Clean:      {KO: "악성코드 없음", EN: "no malware found"},
		documents.NotScanned: {KO: "악성코드 검사 안 함", EN: "not checked for malware"},
	}[k.Scan]
	text := name.In(v.lang) + ", " + strings.TrimPrefix(documents.Ending(k.Type), ".") + ", " + size
	about := h.P(h.Class("note"), g.Text(v.lang.Moment(k.At, v.Programme.Zone)+" · "+state.In(v.lang)))
	if k.Quarantined {
		return g.Group{
			g.Text(text),
			h.P(h.Class("note"), g.Text(v.t("악성코드 검사를 기다리고 있습니다.", "It waits to be checked for malware."))),
		}
	}
	return g.Group{h.A(h.Href("/claim/documents/"+k.Digest), g.Text(text)), about}
}

// download gives a document out as what it was found to be, to be saved and never shown as a page.
func download(v *visit) error {
	if v.Documents == nil {
		return v.notFound()
	}
	doc, data, err := v.Documents.Open(v.ctx(), v.id, v.r.PathValue("name"))
	if errors.Is(err, store.ErrNotFound) {
		return v.notFound()
	}
	if r, ok := errors.AsType[*documents.RefusedError](err); ok {
		return &refusal{http.StatusConflict, tell.Refused(r.Code).In(v.lang)}
	}
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", doc.Type)
	h.Set("Content-Disposition", `attachment; filename="`+doc.Kind+documents.Ending(doc.Type)+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	http.ServeContent(v.w, v.r, "", doc.At, bytes.NewReader(data))
	return nil
}

// upload takes one document in. It reads the form as it comes, so that nothing is kept of what is not taken.
func upload(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, documents.MaxFile+maxPosted+maxDrain)
	defer v.drain()
	if ok, err := v.enterSession(); !ok || err != nil {
		return err
	}
	if v.claim == nil || v.Documents == nil {
		v.see("/claim")
		return nil
	}
	parts, err := v.r.MultipartReader()
	if err != nil {
		return &refusal{http.StatusBadRequest, v.t("보낸 내용을 읽을 수 없습니다.", "What you sent cannot be read.")}
	}
	given := map[string]string{}
	for {
		part, err := parts.NextPart()
		if err != nil {
			return v.notTaken(&documents.RefusedError{Code: documents.CutOff})
		}
		if part.FormName() == "file" {
			return v.take(given, part)
		}
		text, err := io.ReadAll(io.LimitReader(part, 1024))
		if err != nil {
			return v.notTaken(&documents.RefusedError{Code: documents.CutOff})
		}
		given[part.FormName()] = string(text)
	}
}

// take takes the file of an upload, behind what the form says before it.
func (v *visit) take(given map[string]string, part *multipart.Part) error {
	if err := v.proven(given[proofField]); err != nil {
		return err
	}
	if says := v.closedForDocuments(); says != "" {
		v.drain()
		v.w.WriteHeader(http.StatusConflict)
		return v.documentsPage(says)
	}
	kind := given["kind"]
	if !slices.ContainsFunc(v.kinds(), func(o questions.Option) bool { return o.Value == kind }) {
		kind = tell.OtherDocument
	}
	_, err := v.Documents.Add(v.ctx(), v.claim, documents.Sent{Kind: kind, Name: part.FileName(), Body: part, By: store.Owner})
	if r, ok := errors.AsType[*documents.RefusedError](err); ok {
		return v.notTaken(r)
	}
	if store.KindOf(err) == store.ErrorFiles {
		v.Log.Error("a document cannot be kept", "claim", v.id, "error", err)
		v.w.WriteHeader(v.broken(err))
		return v.documentsPage(v.t(
			"지금은 서류를 저장할 수 없습니다. 이 서류는 저장하지 않았고, 신청과 먼저 보내신 서류는 그대로 있습니다. 잠시 뒤 다시 보내 주세요. 계속 안 되면 고객센터에 알려 주세요.",
			"Documents cannot be stored right now. This one was not kept; your claim, and what you sent before, are. "+
				"Please send it again in a while. If it still fails, tell the customer centre."))
	}
	if err != nil {
		return err
	}
	v.see("/claim/documents?done")
	return nil
}

// notTaken says why a document was not taken, when the browser has sent all of it: before, it would show a broken connection.
func (v *visit) notTaken(r *documents.RefusedError) error {
	v.drain()
	v.Log.Info("a document was refused", "claim", v.id, "code", string(r.Code), "error", r.Error())
	v.w.WriteHeader(http.StatusUnprocessableEntity)
	return v.documentsPage(tell.Refused(r.Code).In(v.lang))
}
