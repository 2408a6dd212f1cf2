package review

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

const (
	pathShow = pathOne + "/show"
	// PathRedacted takes files, so its requests are larger than others.
	PathRedacted = pathOne + "/redacted"

	fieldFile   = "file"
	fieldDigest = "digest"
	fieldHide   = "hide"
)

// MaxUpload is how large a request with a file is at most: the file, and what is around it.
const MaxUpload = documents.MaxFile + MaxForm

// redactable reports whether somebody can say which documents of a claim the council reads.
func (v *view) redactable(c *store.Claim) bool {
	return v.desk.Programme.Council != nil && v.desk.Documents != nil && v.who.has(claims.Reviewer) &&
		documents.Accepts(c.State)
}

// forCouncil says what of a document the council reads, with the forms that change it.
func (v *view) forCouncil(k *known, doc *store.Kept) g.Node {
	if v.desk.Programme.Council == nil || doc.Redacts != "" {
		return nil
	}
	as := k.ShownAs(doc.Digest)
	state := h.Span(h.Class("note"), v.t(" · 심의위원회가 볼 수 없음", " · the council cannot read it"))
	switch as {
	case "":
	case doc.Digest:
		state = h.Span(h.Class("chip"), v.t("심의위원회가 그대로 봄", "the council reads it as it is"))
	default:
		state = h.Span(h.Class("chip"), v.t("심의위원회가 가린 것을 봄", "the council reads a redacted version"))
	}
	if !v.redactable(k.Claim) || doc.Quarantined {
		return state
	}
	id := func(field string) string { return field + "-" + doc.Digest[:12] }
	redact, shows := id("redact"), id("show")
	show := g.Group{
		hidden(fieldDigest, doc.Digest),
		h.Label(h.For(id(fieldWhy)), v.t("이유 (기록에 남음)", "Why (kept in history)")),
		h.Input(h.ID(id(fieldWhy)), h.Name(fieldWhy), h.Value(v.written(shows, fieldWhy, "")), h.Required(),
			h.AutoComplete("off")),
	}
	if as == "" {
		show = append(show, h.Button(h.Type("submit"), v.t("그대로 보이기", "Let the council read it as it is")))
	} else {
		show = append(
			show,
			hidden(fieldHide, "yes"),
			h.Button(h.Type("submit"), v.t("더 보이지 않기", "Let the council read it no more")),
		)
	}
	return g.Group{state, h.Details(h.Class("action"), g.If(v.refused(redact) || v.refused(shows), g.Attr("open")),
		h.Summary(v.t("심의위원회에 보일 것", "What the council reads")),
		v.posts(v.root+"claims/"+k.ID+"/redacted", redact, h.EncType("multipart/form-data"),
			hidden(fieldDigest, doc.Digest),
			h.Label(h.For(id(fieldFile)), v.t("이름, 전화, 계좌, 사업자등록번호를 가린 파일 (10MB까지)",
				"A version without name, phone, account and business number (up to 10 MB)")),
			h.Input(h.ID(id(fieldFile)), h.Type("file"), h.Name(fieldFile), h.Required(),
				h.Accept(documents.Accept)),
			h.Button(h.Type("submit"), h.Class("primary"), v.t("가린 파일 올리기", "Upload the redacted version"))),
		v.posts(v.root+"claims/"+k.ID+"/show", shows, show))}
}

// redacted takes the version of a document that the council reads.
func (d *Desk) redacted(w http.ResponseWriter, r *http.Request, who Staff) {
	r.Body, r.Form, r.PostForm = http.MaxBytesReader(w, r.Body, MaxUpload), nil, nil
	err := d.upload(r, &who)
	_, _ = io.Copy(io.Discard, r.Body) // so that the browser reads the answer
	d.afterShown(w, r, who, err)
}

func (d *Desk) upload(r *http.Request, who *Staff) error {
	if !who.has(claims.Reviewer) || d.Documents == nil {
		return claims.Illegal("what the council may read is for a reviewer to say")
	}
	history, err := d.history(r)
	if err != nil {
		return err
	}
	claim := store.Fold(history)
	if err := r.ParseMultipartForm(MaxUpload); err != nil { //nolint:gosec // redacted bounds it
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return &documents.RefusedError{Code: documents.TooBig, What: "the file is larger than 10 MiB"}
		}
		return claims.Refuse(ErrForm, "the upload cannot be read: %w", err)
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }() // nothing of it is on disk
	file, header, err := r.FormFile(fieldFile)
	if err != nil {
		return claims.Refuse(ErrForm, "choose a file")
	}
	defer file.Close() //nolint:errcheck // it was only read
	digest := r.PostForm.Get(fieldDigest)
	i := slices.IndexFunc(claim.Documents, func(doc store.Document) bool { return doc.Digest == digest })
	if i < 0 {
		return store.ErrNotFound
	}
	content := sha256.New() // another file of the same page is another form
	if _, err = io.Copy(content, file); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	_, err = d.once(r, who, hex.EncodeToString(content.Sum(nil)), func(ctx context.Context) error {
		_, err := d.Documents.Add(ctx, claim, documents.Sent{
			Kind: claim.Documents[i].Kind, Name: header.Filename, Body: file, Redacts: digest,
			By: store.Actor{Name: who.Name, Duty: claims.Reviewer},
		})
		return err
	})
	return err
}

// showToCouncil lets the council read a document as it is, or no more.
func (d *Desk) showToCouncil(w http.ResponseWriter, r *http.Request, who Staff) {
	why, err := readWhy(r)
	var history []store.Entry
	if err == nil {
		history, err = d.history(r)
	}
	if err == nil && !who.has(claims.Reviewer) {
		err = claims.Illegal("what the council may read is for a reviewer to say")
	}
	if err == nil {
		_, err = d.once(r, &who, "", func(ctx context.Context) error {
			return d.Store.ShowToCouncil(ctx, store.Fold(history), r.PostForm.Get(fieldDigest), r.PostForm.Get(fieldHide) != "",
				store.Actor{Name: who.Name, Duty: claims.Reviewer}, why)
		})
	}
	d.afterShown(w, r, who, err)
}

func (d *Desk) afterShown(w http.ResponseWriter, r *http.Request, who Staff, err error) {
	if err != nil {
		d.refuse(w, r, d.view(w, r, who), err)
		return
	}
	w.Header().Set("Location", "../"+r.PathValue("claim"))
	w.WriteHeader(http.StatusSeeOther)
}

// shown are the documents that the council reads of a claim.
func (v *view) shown(b *before) g.Node {
	var items g.Group
	for i := range b.Documents {
		doc := &b.Documents[i]
		name, _ := tell.Document(doc.Kind)
		label := g.Text(name.In(v.Lang))
		as := b.ShownAs(doc.Digest)
		switch {
		case as == "":
			items = append(
				items,
				h.Li(label, g.Text(" "), h.Span(h.Class("note"), v.t("심의위원회에 보이지 않음", "not shown to the council"))),
			)
		case v.desk.Documents == nil:
			items = append(items, h.Li(label))
		default:
			note := v.say("가린 것", "redacted")
			if as == doc.Digest {
				note = v.say("그대로", "as it is")
			}
			items = append(
				items,
				h.Li(h.A(h.Href(v.itemPath(b.item.Meeting, b.item.Number)+"/documents/"+as), g.Attr("download"), label),
					g.Text(" "), h.Span(h.Class("note"), g.Text(note))),
			)
		}
	}
	if len(items) == 0 {
		items = append(items, h.Li(v.t("서류가 없습니다.", "There are no documents.")))
	}
	return v.section("documents", "서류", "Documents", h.Ul(h.Class("plain-list"), items))
}

// shownDocument gives a document out that the council reads, and none that it does not.
func (d *Desk) shownDocument(w http.ResponseWriter, r *http.Request, who Staff) {
	meeting, err := numberIn(r, fieldMeeting)
	number, numberErr := numberIn(r, fieldItem)
	if err == nil {
		err = numberErr
	}
	if err == nil {
		err = d.GiveDocument(w, r, &who, meeting, number, r.PathValue("digest"))
	}
	if err != nil {
		d.fail(w, r, who, err)
	}
}
