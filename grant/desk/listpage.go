package desk

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/desk/searchpage"
)

// An act about the users of a file takes the same three steps on the page as one about a single user. No desk keeps the file: it
// goes along with what is to be confirmed, under the seal, so any desk can go on. File and words name the request, whose acts
// are done to a user once: after anything that stopped it, the same upload does what is left.
const (
	listsPath = searchPath + "/lists"
	listPath  = listsPath + "/acts/{campaign}/{act}"

	fileType = "multipart/form-data"

	maxListRows = 50_000                      // what Redis does in a request's time several times over
	maxListFile = 2 << 20                     // bytes: so many IDs of 19 digits, and as much around them
	maxListForm = 4*maxListFile/3 + 2*maxForm // bytes: at worst it cannot be packed, and base64 makes it longer
	maxDrained  = 64 << 20                    // bytes of a file that is too large: a browser sends all before it shows an answer
)

// listing is one step of an act about the users of a file.
type listing struct {
	page    *searchpage.List
	doer    *acts.Doer
	content []byte
	file    *acts.File
	command *acts.Command
}

// listsPage has a link for each act in each campaign.
func (a *api) listsPage(w http.ResponseWriter, r *http.Request, who Principal) {
	names, err := a.names(r.Context())
	if err != nil {
		a.failPage(w, r, who, err)
		return
	}
	v, may := a.view(w, r, who), a.mayDo(who)
	v.MayDecide = who.Role.may(RightApprove)
	if may == nil {
		a.failPage(w, r, who, a.gate.failure(who.Name, refuse(kindRight, who.Role.lacks([]Right{RightUsers}))))
		return
	}
	a.html(w, http.StatusOK, func(out io.Writer) error { return searchpage.Lists(out, v, names, may) })
}

// beginList is the form before anything is filled in.
func (a *api) beginList(w http.ResponseWriter, r *http.Request, who Principal) (*listing, error) {
	kind, err := a.kindOf(r, who)
	if err != nil {
		return nil, err
	}
	l := &listing{page: &searchpage.List{Act: searchpage.Act{
		View: *a.view(w, r, who), Kind: kind, Many: true, Fields: map[string]string{},
	}, MostRows: maxListRows, MostBytes: maxListFile}}
	if l.doer, err = a.doer(r); err != nil {
		return nil, err
	}
	l.page.MayDecide, l.page.Campaign = who.Role.may(RightApprove), l.doer.Campaign
	return l, nil
}

func (a *api) listForm(w http.ResponseWriter, r *http.Request, who Principal) {
	l, err := a.beginList(w, r, who)
	if err != nil {
		a.failPage(w, r, who, err)
		return
	}
	a.html(w, http.StatusOK, l.page.Form)
}

// listPage is what follows the form.
func (a *api) listPage(w http.ResponseWriter, r *http.Request, who Principal) {
	content, name, wrong := uploaded(w, r)
	l, err := a.beginList(w, r, who)
	if err != nil {
		a.failPage(w, r, who, err)
		return
	}
	for field := range r.PostForm {
		l.page.Fields[field] = strings.TrimSpace(r.PostForm.Get(field))
	}
	l.content, l.page.Name = content, name
	if wrong == nil {
		wrong = l.read(who)
	}
	if wrong != nil {
		a.listRefused(w, who, l, wrong)
		return
	}
	sealed := hmac.Equal([]byte(l.page.Fields[searchpage.FieldSeal]), []byte(l.seal(r, who, a.sealKey)))
	switch step := l.page.Fields[searchpage.FieldStep]; {
	case sealed && step == searchpage.StepFile:
		a.listFile(w, r, who, l)
	case sealed:
		a.listDone(w, r, who, l)
	default:
		a.listConfirm(w, r, who, l)
	}
}

// uploaded is the file of a form: as it was chosen, or as it came along with what is confirmed.
func uploaded(w http.ResponseWriter, r *http.Request) (content []byte, name string, err error) {
	body := r.Body
	r.Body, r.Form, r.PostForm = http.MaxBytesReader(w, body, maxListForm), nil, nil
	defer func() { _, _ = io.Copy(io.Discard, io.LimitReader(body, maxDrained)) }() // of what is too large
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != fileType {
		if err = r.ParseForm(); err == nil {
			content, err = unpacked(r.PostForm.Get(searchpage.FieldFile))
		}
		return content, r.PostForm.Get(searchpage.FieldName), tooLarge(r, err)
	}
	if err := r.ParseMultipartForm(maxListForm); err != nil {
		return nil, "", tooLarge(r, err)
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }() // nothing of it is on disk
	f, header, err := r.FormFile(searchpage.FieldFile)
	if errors.Is(err, http.ErrMissingFile) {
		return nil, "", newProblem(kindInvalid, "choose a file: a CSV, or one ID a line")
	}
	if err != nil {
		return nil, "", newProblem(kindMalformed, err.Error())
	}
	defer f.Close() //nolint:errcheck // it was only read
	content, err = io.ReadAll(io.LimitReader(f, maxListFile+1))
	if err == nil && len(content) > maxListFile {
		err = multipart.ErrMessageTooLarge
	}
	return content, path.Base(header.Filename), tooLarge(r, err)
}

// tooLarge says of an upload why it cannot be read.
func tooLarge(r *http.Request, err error) error {
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large || errors.Is(err, multipart.ErrMessageTooLarge):
		return newProblem(kindTooLarge, fmt.Sprintf("the file has more than %d MiB: split it, or use the command line, "+
			"granter %s --users FILE, which takes millions", maxListFile>>20, commandOf(grant.ActKind(r.PathValue("act")))))
	case err != nil:
		return newProblem(kindMalformed, "the upload cannot be read: "+err.Error())
	}
	return nil
}

// commandOf is an act's name on the command line.
func commandOf(kind grant.ActKind) string {
	if kind == grant.ActHand {
		return "grant-user"
	}
	return string(kind)
}

// read makes a command of the file and the fields.
func (l *listing) read(who Principal) (err error) {
	body, at, err := requestOf(&l.page.Act, l.doer.Campaign)
	if err != nil {
		return err
	}
	l.page.At = at
	act := body.act(who)
	if err := grant.ValidateWhy(act.Reason); err != nil {
		return newProblem(kindInvalid, err.Error())
	}
	if act.Kind != grant.ActMove { // of which each row says where to
		if err := act.Validate(); err != nil {
			return newProblem(kindInvalid, err.Error())
		}
	}
	if l.file, err = acts.ReadFile(bytes.NewReader(l.content), &l.doer.Campaign.Input); err != nil {
		return newProblem(kindInvalid, err.Error())
	}
	if n := len(l.file.Rows); n > maxListRows {
		return newProblem(kindTooLarge, fmt.Sprintf("the file has %d rows, and this page takes %d: split it, or use the command "+
			"line, granter %s --users FILE, which takes millions", n, maxListRows, commandOf(act.Kind)))
	}
	digest := sha256.Sum256(l.content)
	f := l.page.Fields
	effective, until := f[searchpage.FieldTime], ""
	if act.Kind == grant.ActExtend {
		effective, until = until, effective
	}
	act.ID = acts.RequestOf(&act, effective, until, digest[:])
	f[searchpage.FieldRequest], f[searchpage.FieldName] = act.ID, l.page.Name
	l.command = &acts.Command{Act: act, Rows: l.file.Rows, AfterEnd: body.AfterEnd}
	return nil
}

func (l *listing) seal(r *http.Request, who Principal, random []byte) string {
	digest := sha256.Sum256(l.content)
	return sealOf(r, who, random, l.page.Fields, l.page.Name, string(digest[:]))
}

// dry is what would happen now. Of what the request has done already it says so.
func (l *listing) dry(ctx context.Context) (*acts.Report, error) {
	command := *l.command
	command.Dry = true
	return l.doer.Run(ctx, &command)
}

// listConfirm shows what will happen, after a dry run. It tells of each user something: so it is recorded that they were read.
func (a *api) listConfirm(w http.ResponseWriter, r *http.Request, who Principal, l *listing) {
	if l.page.Fields[searchpage.FieldSeal] != "" {
		l.page.Problem = searchpage.ConfirmAgain(l.page.Lang)
	}
	var users []grant.UserID
	for i := range l.file.Rows {
		if l.file.Rows[i].Err == nil {
			users = append(users, l.file.Rows[i].User)
		}
	}
	var report *acts.Report
	err := a.readsWhy(r, who, accesslog.WhatLookup, l.command.Act.Reason, users...)
	if err == nil {
		report, err = l.dry(r.Context())
	}
	if err != nil {
		a.listRefused(w, who, l, err)
		return
	}
	l.page.Confirm = true
	a.listShow(w, r, who, l, report, http.StatusOK)
}

// listDone carries out what was confirmed, and says what became of it. What an error stopped is continued by confirming again.
func (a *api) listDone(w http.ResponseWriter, r *http.Request, who Principal, l *listing) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.cfg.pace.request)
	defer cancel()
	report, err := l.doer.Run(ctx, l.command)
	if report == nil || err != nil && (report.Counts[acts.Done] == 0 || errors.Is(err, grant.ErrRefused)) {
		a.listRefused(w, who, l, err)
		return
	}
	status := http.StatusOK
	if err != nil {
		problem := problemOf(err)
		a.cfg.Log.Error("acts about a list stopped", "who", who.Name, "request", report.Request, "error", err)
		problem.tell(&l.page.View, searchpage.Stopped)
		status = problem.Status
	}
	a.listShow(w, r, who, l, report, status)
}

// listFile gives the file back, with what became, or would become, of each row.
func (a *api) listFile(w http.ResponseWriter, r *http.Request, who Principal, l *listing) {
	report, err := l.dry(r.Context())
	var out bytes.Buffer
	if err == nil {
		out.WriteString("\ufeff") // by which spreadsheets know that it is UTF-8
		err = l.file.Write(&out, report.Results)
	}
	if err != nil {
		a.listRefused(w, who, l, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+l.command.Act.ID+`.csv"`)
	_, _ = w.Write(out.Bytes()) // the client may have gone
}

// listShow shows a report.
func (a *api) listShow(w http.ResponseWriter, r *http.Request, who Principal, l *listing, report *acts.Report, status int) {
	p := l.page
	p.Fields[searchpage.FieldFile] = packed(l.content)
	p.Fields[searchpage.FieldSeal] = l.seal(r, who, a.sealKey)
	p.Overall, p.Counts, p.Again = string(report.Overall), map[string]int{}, report.Again()
	p.TakesTwo, p.Proposal = report.TakesTwo, report.Proposal
	for status, n := range report.Counts {
		p.Counts[string(status)] = n
	}
	seen := map[string]bool{}
	for i := range report.Results {
		row, result := &l.file.Rows[i], &report.Results[i]
		if row.Err == nil {
			if seen[row.User.String()] {
				p.Repeated++
			}
			seen[row.User.String()] = true
		}
		p.Add(searchpage.ListRow{
			Line: row.Line, Text: shown(row.Fields), Status: string(result.Status), Why: result.Why, Code: result.Code,
		})
	}
	a.html(w, status, p.Form)
}

// shown are the cells of a row that are not empty.
func shown(fields []string) string {
	filled := slices.DeleteFunc(slices.Clone(fields), func(cell string) bool { return strings.TrimSpace(cell) == "" })
	return strings.Join(filled, ", ")
}

// listRefused shows the form again, with why nothing was done.
func (a *api) listRefused(w http.ResponseWriter, who Principal, l *listing, err error) {
	problem := problemOf(err)
	if problem.Status >= http.StatusInternalServerError {
		a.cfg.Log.Error("acts about a list failed", "who", who.Name, "error", err)
	}
	problem.tell(&l.page.View, searchpage.NotDone)
	l.page.Confirm = false
	a.html(w, problem.Status, l.page.Form)
}

// packed is a file as the field of a form.
func packed(content []byte) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(content) // into memory
	_ = z.Close()
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
}

func unpacked(text string) ([]byte, error) {
	if text == "" {
		return nil, errors.New("it has no file: choose it again")
	}
	z, err := gzip.NewReader(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(text)))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(z, maxListFile+1))
	if err == nil && len(content) > maxListFile {
		err = multipart.ErrMessageTooLarge
	}
	return content, err
}
