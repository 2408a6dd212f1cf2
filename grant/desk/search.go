package desk

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/userid"
)

// The page on which support looks up users is rendered here, and works without a script. A browser sends no token with a
// link or a form, so the page has a cookie with it: only under its own path, where no order can be given, out of the reach
// of scripts, and not sent along by other sites' forms. Acts about users are confirmed there
// (actpage.go). The API does not look at it.
const (
	searchPath = "/users"

	tokenCookie = "granter_token"
	langCookie  = "granter_lang"
	zoneCookie  = "granter_tz"

	formType  = "application/x-www-form-urlencoded"
	maxForm   = 256 * lookup.MaxAtOnce // bytes: an ID of 19 full-width digits has 171 when it is escaped, and as much around them
	keepLooks = 365 * 24 * time.Hour   // how long a browser keeps language and zone
)

// searchPolicy is policy with forms that go to this desk.
var searchPolicy = strings.Replace(policy, "form-action 'none'", "form-action 'self'", 1)

// searchArea is the page, and the controls on it.
var searchArea = area{searchPath, backTo, func(out io.Writer, v *searchpage.View, _ string) error {
	return searchpage.Search(out, v)
}}

// searchRoutes are those of the page.
func (a *api) searchRoutes() []route {
	return append(append(a.actRoutes(), []route{
		{"GET " + searchPath, a.mayLook(), a.searchForm},
		{"POST " + searchPath, a.mayLook(), a.search},
		{"GET " + searchPath + "/{id}", []Right{RightUsers}, a.searchOne},
		{"GET " + searchPath + "/{id}/receipts/{campaign}", []Right{RightReceipt}, a.downloadReceipt},
		{"GET " + searchPath + "/rejected/{campaign}", []Right{RightUsers}, a.rejectedPage},
		{"GET " + searchPath + "/{id}/trace/{campaign}", []Right{RightUsers}, a.searchTopic},
	}...), a.signRoutes(&searchArea)...)
}

// backTo is where somebody goes on who has signed in, from where the desk begins: nowhere but on this page.
func backTo(path string) string {
	if path == "users/lists" || strings.HasPrefix(path, "users/lists/") {
		return "users/lists"
	}
	const ofNames = "abcdefghijklmnopqrstuvwxyz0123456789-"
	if name, ok := strings.CutPrefix(path, "users/rejected/"); ok && strings.Trim(name, ofNames) == "" {
		return path
	}
	if id, one := strings.CutPrefix(path, "users/"); one {
		id, _, _ = strings.Cut(id, "/") // of a link to a receipt: the page that has it
		uuids := userid.FormOf(&grant.Input{IDs: grant.IDsUUID})
		_, number := userid.Parse(id, grant.MaxUserID)
		if _, err := uuids.Parse(id); number == nil || err == nil && len(id) == 36 {
			return "users/" + id
		}
	}
	return "users"
}

// goOn sends the browser from signing in or out to another path of the page.
func goOn(w http.ResponseWriter, path string) {
	w.Header().Set("Location", "../"+path)
	w.WriteHeader(http.StatusSeeOther)
}

// cookie sets a cookie. It is for the path that the request came by, as the browser sees it: a proxy may have put the desk
// under a path of its own. It is secure where the browser came by TLS, to this desk or to a proxy in front of it.
func cookie(w http.ResponseWriter, r *http.Request, c *http.Cookie) { //nolint:gosec // it adds what is missing
	c.SameSite = http.SameSiteLaxMode
	c.Secure = r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	http.SetCookie(w, c)
}

// view is the page before anything is asked: in the reader's language and zone.
func (a *api) view(w http.ResponseWriter, r *http.Request, who Principal) *searchpage.View {
	v := &searchpage.View{Now: a.cfg.Clock(), Root: strings.Repeat("../", strings.Count(r.URL.EscapedPath(), "/")-1)}
	if who.Name != anonymous.Name {
		v.Name = who.shown()
	}
	v.SeesUsers, v.SeesClaims = who.Role.may(RightUsers), a.cfg.Claims != nil && who.Role.may(ofClaims...)
	v.MayList = who.Role.may(RightUsers) && who.Role.may(RightNote, RightAct)
	_, err := r.Cookie(tokenCookie)
	v.Cookie = err == nil || who.signedOn
	if provider := a.provider(); provider != nil {
		v.SignOnAt, v.Provider, v.Ask = signOnLink(""), provider.Title, provider.Ask
	}
	v.Lang = langOf(r, chosen(w, r, searchpage.FieldLang, langCookie, isLang))
	isZone := func(name string) bool {
		_, err := time.LoadLocation(name)
		return err == nil && len(name) < 64
	}
	zone := cmp.Or(chosen(w, r, searchpage.FieldZone, zoneCookie, isZone), kept(r, zoneCookie, isZone))
	if zone, err := time.LoadLocation(zone); err == nil && zone != time.UTC {
		v.Zone = zone
	}
	return v
}

// chosen is what somebody chose in the form, and keeps for the next time, if it is one of what there is; else empty.
func chosen(w http.ResponseWriter, r *http.Request, field, name string, known func(string) bool) string {
	choice, there := r.Form[field]
	if !there || !known(choice[0]) {
		return ""
	}
	keep(w, r, name, choice[0])
	return choice[0]
}

func keep(w http.ResponseWriter, r *http.Request, name, value string) {
	cookie(w, r, &http.Cookie{Name: name, Value: value, MaxAge: int(keepLooks.Seconds())}) //nolint:gosec // see cookie
}

// kept is what somebody chose before, if it is one of what there is; else empty.
func kept(r *http.Request, name string, known func(string) bool) string {
	if c, err := r.Cookie(name); err == nil && known(c.Value) {
		return c.Value
	}
	return ""
}

func isLang(lang string) bool { return slices.Contains(lookup.Langs(), lookup.Lang(lang)) }

// langOf is the language for a reader: the one chosen just now, before, or in the browser. All pages choose by it.
func langOf(r *http.Request, now string) lookup.Lang {
	return lookup.LangFor(cmp.Or(now, kept(r, langCookie, isLang)), r.Header.Get("Accept-Language"))
}

// mayLook are the rights with which somebody may look for people: for users, for claims, or for both.
func (a *api) mayLook() []Right {
	if a.cfg.Claims == nil {
		return []Right{RightUsers}
	}
	return append([]Right{RightUsers}, ofClaims...)
}

func (a *api) searchForm(w http.ResponseWriter, r *http.Request, who Principal) {
	v := a.view(w, r, who)
	a.html(w, http.StatusOK, func(out io.Writer) error { return searchpage.Search(out, v) })
}

// search answers about whom somebody pasted. It is a POST, so that IDs are in no address, history or log of a proxy.
func (a *api) search(w http.ResponseWriter, r *http.Request, who Principal) {
	a.found(w, r, who, r.PostFormValue(searchpage.FieldQuery), a.everywhere(r, who))
}

// searchOne is the page of one user, which can be linked to.
func (a *api) searchOne(w http.ResponseWriter, r *http.Request, who Principal) {
	a.one(w, r, who, a.everywhere(r, who))
}

// looking answers about some users. It records that they are read before it returns.
type looking func([]grant.UserID) ([][]lookup.Answer, error)

// everywhere looks into all campaigns.
func (a *api) everywhere(r *http.Request, who Principal) looking {
	return func(users []grant.UserID) ([][]lookup.Answer, error) {
		answers, _, err := a.lookUp(r.Context(), who, paged{}, users)
		if err == nil && known(answers) {
			err = a.reads(r, who, accesslog.WhatLookup, users...) // what cannot be recorded is not shown
		}
		return answers, err
	}
}

// one answers about the user of the path. Here IDs are as strict as in the API, and the path is one ID, whatever is in it.
func (a *api) one(w http.ResponseWriter, r *http.Request, who Principal, look looking) {
	id, err := a.readAnyUser(r.Context(), who, r.PathValue("id"))
	if err != nil {
		v := a.view(w, r, who)
		v.Problem, v.English = problemOf(err).on(v.Lang)
		a.html(w, http.StatusBadRequest, func(out io.Writer) error { return searchpage.Search(out, v) })
		return
	}
	query := r.PathValue("id")
	pasted := lookup.Understand(query, a.forms(r.Context(), who)...)
	if len(pasted.Refused) > 0 || len(pasted.Users) != 1 || len(pasted.Users[0].How) > 0 { // it has what separates IDs in a list
		pasted = lookup.Pasted{Users: []lookup.Understood{{User: id, Text: query}}}
	}
	a.show(w, r, who, query, pasted, look)
}

// found shows the answers about whom a text means.
func (a *api) found(w http.ResponseWriter, r *http.Request, who Principal, query string, look looking) {
	a.show(w, r, who, query, lookup.Understand(query, a.forms(r.Context(), who)...), look)
}

// show shows the answers about some users.
func (a *api) show(w http.ResponseWriter, r *http.Request, who Principal, query string, pasted lookup.Pasted, look looking) {
	v := a.view(w, r, who)
	if a.cfg.Receipts != nil && who.Role.may(RightReceipt) {
		v.Receipts = a.cfg.Receipts.Has
	}
	v.MayDo, v.MayDecide = a.mayDo(who), who.Role.may(RightApprove)
	v.Why = r.PostForm.Get(searchpage.FieldWhy)
	v.Query, v.Asked = query, strings.TrimSpace(query) != ""
	status := http.StatusOK
	if v.SeesUsers {
		v.Pasted = pasted
	}
	if err := a.findClaims(r, who, v); err != nil {
		problem := problemOf(err)
		problem.tell(v, searchpage.Failed)
		v.Pasted, status = lookup.Pasted{}, problem.Status
	}
	if len(v.Pasted.Users) > 0 {
		users := make([]grant.UserID, len(v.Pasted.Users))
		for i, u := range v.Pasted.Users {
			users[i] = u.User
		}
		answers, err := look(users)
		if v.Answers = answers; err != nil {
			problem := problemOf(err)
			if f := refused(err); f != nil {
				a.gate.note(w, r, who, f)
				problem = f.Problem
			} else if problem.Status >= http.StatusInternalServerError {
				a.cfg.Log.Error("a lookup failed", "who", who.Name, "error", err)
			}
			problem.tell(v, searchpage.Failed)
			v.Answers, status = nil, problem.Status
		}
		v.Notice = did(r, v.Lang, v.Answers)
	}
	a.html(w, status, func(out io.Writer) error { return searchpage.Search(out, v) })
}

// findClaims puts the claims that are meant on a page, and the users who their owners are among those whom campaigns are asked
// about.
func (a *api) findClaims(r *http.Request, who Principal, v *searchpage.View) error {
	if !v.Asked || !v.SeesClaims {
		return nil
	}
	if err := resident.Refuse("why", v.Why, true); err != nil { // history keeps it for ever
		return newProblem(kindInvalid, err.Error())
	}
	staff := a.staff(r, who)
	found, err := a.cfg.Claims.Find(r.Context(), &staff, &review.Question{
		Text: v.Query, Why: v.Why, Lang: tell.Parse(string(v.Lang)), Root: v.Root,
	})
	if err != nil {
		return err
	}
	v.Claims = found.Section
	if !v.SeesUsers || !found.Only && len(found.Users) == 0 {
		return nil
	}
	list := found.Users
	if !found.Only {
		list = append([]string{v.Query}, list...)
	}
	v.Pasted = lookup.Understand(strings.Join(list, "\n"), a.forms(r.Context(), who)...)
	return nil
}

// html answers with a page.
func (a *api) html(w http.ResponseWriter, status int, render func(io.Writer) error) {
	var page bytes.Buffer
	if err := render(&page); err != nil {
		newProblem(kindInternal, err.Error()).write(w)
		return
	}
	w.Header().Set("Content-Type", types[".html"])
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the client may have gone
}
