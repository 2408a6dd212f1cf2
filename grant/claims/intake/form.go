// Package intake takes claims in. Whatever the channel (a file, a topic, a page), a claim is read, checked and stored by this one
// path, with all that is wrong with it said at once, and taking it in again changes nothing.
package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/stagger"
	"github.com/granter/granter/grant/claims/store"
)

// Form is a claim as a channel hands it over. Its JSON names are the columns of files, too.
type Form struct {
	ID                   string       `json:"id,omitempty"` // the channel's own number; files may leave it out
	BusinessNumber       string       `json:"business_number"`
	BusinessName         string       `json:"business_name"`
	Representative       string       `json:"representative"`
	Industry             string       `json:"industry"`
	Opened               claims.Date  `json:"opened"`
	Closed               claims.Date  `json:"closed,omitempty"`
	OutageSales          *claims.Won  `json:"outage_sales,omitempty"` // nil: not said, where the programme takes one figure
	WeekSales            []claims.Won `json:"week_sales,omitempty"`
	ReportedLoss         *claims.Won  `json:"reported_loss,omitempty"`
	OwnProfitRate        *big.Rat     `json:"own_profit_rate,omitempty"`
	AlternativeAvailable bool         `json:"alternative_available,omitempty"`
	Phone                string       `json:"phone"`
	Email                string       `json:"email,omitempty"`
	Address              string       `json:"address,omitempty"`
	Bank                 string       `json:"bank"` // three digits
	Account              string       `json:"account"`
	Holder               string       `json:"holder"`
	Language             string       `json:"language,omitempty"` // of notices: ko, the default, or en
	User                 string       `json:"user,omitempty"`     // the owner's ID in the service
	Received             *time.Time   `json:"received,omitempty"` // when the channel received it; default now
}

// Channel is where claims come from, and who enters them.
type Channel struct {
	Name string // one of the names below; or phone, post, chat …, as whoever imports a file says
	By   store.Actor
}

// text is its name as a field, which the claim keeps.
func (c *Channel) text() prose {
	return prose{name: "channel", value: c.Name, required: true, form: channelIs, want: "letters and digits, such as phone"}
}

// Names of channels.
const (
	ChannelPage  = "page"  // the owner's
	ChannelAPI   = "api"   // another system, at the desk
	ChannelStaff = "staff" // somebody at the desk, for the owner
)

// Desk is what takes claims of one programme in.
type Desk struct {
	Store     *store.Store
	Programme *claims.Programme
	Now       func() time.Time // nil: the clock
	// Count is told what became of each form that Take was given; nil: nobody is. It is called concurrently.
	Count func(Outcome)
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	bankForm   = regexp.MustCompile(`^\d{3}$`)
	accountIs  = regexp.MustCompile(`^[0-9][0-9 -]{4,28}[0-9]$`)
	phoneIs    = regexp.MustCompile(`^\+?[0-9][0-9 ().-]{6,20}$`)
	emailIs    = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	languageIs = regexp.MustCompile(`^(ko|en)$`)
	channelIs  = regexp.MustCompile(`^[\pL\pN][\pL\pN ._-]{0,39}$`)
	userIs     = regexp.MustCompile(`^[^\s,;|]{1,64}$`)
	industry   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// pages are the pages of the review desk that stand where those of claims do, by their numbers.
var pages = []string{
	"many", "windows", "budget", "statistics", "freeze", "access", "council", "minutes", "sign-in", "sign-out", "enter",
}

// Reserved reports whether no claim can have a number.
func Reserved(id string) bool { return slices.Contains(pages, id) }

// longest is how many characters a field may have, unless its form says less.
const longest = 200

// ErrNotNow means that a form could not be looked at: nothing is said about what is in it, and it can be tried again.
var ErrNotNow = errors.New("it cannot be looked at now")

// Read checks a form and returns what is to be stored. The error joins everything that is wrong, each with its field; or it is
// ErrNotNow.
func (d *Desk) Read(ctx context.Context, f *Form, from Channel) (store.Filing, error) {
	filing, late, err := d.read(ctx, f, from)
	if err = errors.Join(err, late); err != nil {
		return store.Filing{}, err
	}
	return filing, nil
}

// read is Read that says apart when nothing but the moment is wrong; what was taken in before is still there then.
func (d *Desk) read(ctx context.Context, f *Form, from Channel) (_ store.Filing, late, _ error) {
	windows, err := d.Store.Windows(ctx, d.Programme)
	if err != nil {
		return store.Filing{}, nil, fmt.Errorf("%w: %w", ErrNotNow, err)
	}
	var errs []error
	wrong := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	unit, err := claims.ParseBusinessNumber(f.BusinessNumber)
	if err != nil {
		wrong(fmt.Errorf("business_number: %w", err))
	}
	for _, t := range append(f.texts(), from.text()) {
		wrong(t.check())
	}
	if Reserved(f.ID) {
		wrong(fmt.Errorf("id: %s is the name of a page of the review desk, which would hide the claim: add a digit to it", f.ID))
	}
	facts := f.Facts()
	if f.OutageSales == nil && d.Programme.Loss.Weeks != claims.ReportedLoss { // nothing said is not nothing sold
		wrong(errors.New("outage_sales: is missing: write 0 if nothing was sold"))
	}
	for _, a := range f.amounts() {
		wrong(a.check())
	}
	wrong(facts.Check())
	wrong(d.Programme.Check(&facts))
	at := d.now()
	if f.Received != nil {
		if f.Received.After(at) {
			wrong(fmt.Errorf("received: %s is in the future", f.Received.Format(time.RFC3339)))
		}
		at = *f.Received
	}
	window, why, open := d.Programme.Open(windows, claims.ReportWindow, at)
	if !open {
		late = fmt.Errorf("received: claims cannot be handed in at %s: %s", at.In(d.Programme.Zone).Format(time.DateTime), why)
	} else if err := stagger.Today(d.Programme, windows, unit, at); err != nil {
		late = fmt.Errorf("received: %w", err)
	}
	if len(errs) > 0 {
		return store.Filing{}, late, unsaid(errors.Join(errs...))
	}
	digest, err := f.digest(unit)
	if err != nil {
		return store.Filing{}, late, err
	}
	id := f.ID
	if id == "" {
		id = "f-" + digest[:20]
	}
	return store.Filing{
		ID: id, Facts: facts, By: from.By,
		Opening: store.Opening{
			Programme: d.Programme.Name, Rules: d.Programme.Hash, Unit: unit, Channel: from.Name, EnteredBy: from.By.Name,
			Window: window.Name, Digest: digest,
		},
		Person: store.Person{
			Business: f.BusinessName, Representative: f.Representative, Phone: f.Phone, Email: f.Email, Address: f.Address,
			Bank: f.Bank, Account: f.Account, Holder: f.Holder, Language: f.Language,
			User: f.User,
		},
	}, late, nil
}

// Facts are what a form says of the loss.
func (f *Form) Facts() claims.Facts {
	out := claims.Facts{
		Industry: f.Industry, Opened: f.Opened, Closed: f.Closed, WeekSales: f.WeekSales, Reported: f.ReportedLoss,
		OwnRate: f.OwnProfitRate, Alternative: f.AlternativeAvailable,
	}
	if f.OutageSales != nil {
		out.OutageSales = *f.OutageSales
	}
	return out
}

// prose is one field of text, and how it is checked.
type prose struct {
	name, value string
	required    bool
	form        *regexp.Regexp
	want        string
	numbers     bool // it is meant for numbers
}

func (f *Form) texts() []prose {
	return []prose{
		{name: "id", value: f.ID, form: idForm, want: "1 to 64 letters, digits, dots, underscores and hyphens"},
		{name: "business_name", value: f.BusinessName, required: true},
		{name: "representative", value: f.Representative, required: true},
		{name: "industry", value: f.Industry, required: true, form: industry,
			want: "small letters, digits and underscores, such as restaurants"},
		{name: "phone", value: f.Phone, required: true, form: phoneIs, want: "digits, such as 010-1234-5678", numbers: true},
		{name: "email", value: f.Email, form: emailIs, want: "an address such as owner@example.com"},
		{name: "address", value: f.Address},
		{name: "bank", value: f.Bank, required: true, form: bankForm, want: "the bank's code of three digits, such as 004"},
		{name: "account", value: f.Account, required: true, form: accountIs, want: "6 to 30 digits and hyphens", numbers: true},
		{name: "holder", value: f.Holder, required: true},
		{name: "language", value: f.Language, form: languageIs, want: "ko or en"},
		{name: "user", value: f.User, form: userIs, want: "an ID of the service, without spaces"},
	}
}

// amounts are its numbers, written as text: thirteen digits that begin with a day are no sales of a small business.
func (f *Form) amounts() (out []prose) {
	add := func(name string, w claims.Won) {
		out = append(out, prose{name: name, value: strconv.FormatInt(int64(w), 10)})
	}
	if f.OutageSales != nil {
		add("outage_sales", *f.OutageSales)
	}
	for i, w := range f.WeekSales {
		add(fmt.Sprintf("week_sales[%d]", i), w)
	}
	if f.ReportedLoss != nil {
		add("reported_loss", *f.ReportedLoss)
	}
	if f.OwnProfitRate != nil {
		out = append(out, prose{name: "own_profit_rate", value: f.OwnProfitRate.RatString()})
	}
	return out
}

// CheckText returns what is wrong with one field of text of a form, for channels that ask one after the other.
func (f *Form) CheckText(name string) error {
	for _, t := range f.texts() {
		if t.name == name {
			return t.check()
		}
	}
	return nil
}

func (t *prose) check() error {
	switch {
	case t.value == "" && t.required:
		return fmt.Errorf("%s: is missing", t.name)
	case t.value == "":
		return nil
	case len([]rune(t.value)) > longest:
		return fmt.Errorf("%s: it has more than %d characters", t.name, longest)
	}
	if err := resident.Refuse(t.name, t.value, !t.numbers); err != nil {
		return err
	}
	if strings.ContainsFunc(t.value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
		return fmt.Errorf("%s: it has characters that nobody can see or read", t.name)
	}
	if t.form != nil && !t.form.MatchString(t.value) {
		return fmt.Errorf("%s: %.40q is not of its form: write %s", t.name, t.value, t.want)
	}
	return nil
}

// digest tells forms apart, whenever and however often they are handed in.
func (f *Form) digest(unit claims.BusinessNumber) (string, error) {
	same := *f
	same.ID, same.Received, same.BusinessNumber = "", nil, string(unit)
	data, err := json.Marshal(same)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}
