package campaign

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/granter/granter/grant"
)

// spec is the canonical form. Two rules keep the hash of a granted campaign the same in every later version:
// the fields below stay as they are, in this order; and a field that is added later appears only when it differs from
// what its absence meant before.
type spec struct {
	Campaign   string    `json:"campaign"`
	Title      string    `json:"title"`
	StartsAt   time.Time `json:"starts_at"` // in UTC
	EndsAt     time.Time `json:"ends_at,omitzero"`
	Zone       string    `json:"zone,omitempty"`
	Population int64     `json:"population,omitempty"`
	Source     source    `json:"source"`
	Items      []item    `json:"items"` // in the order of the file, which is the order in which users see them
	Approval   *approval `json:"approval,omitempty"`
	Exclude    []exclude `json:"exclude,omitempty"`
}

type source struct {
	Topic       string `json:"topic"`
	Format      string `json:"format"`
	Path        string `json:"path,omitempty"`
	From        string `json:"from"`
	MaxID       uint64 `json:"max_id,omitempty"` // 0: IDs that are not dense have none
	MaxRejected string `json:"max_rejected"`     // in percent, without trailing zeros
	DeadLetters string `json:"dead_letters,omitempty"`
	Tombstones  string `json:"tombstones,omitempty"`
	ID          string `json:"id,omitempty"`
	Normalise   string `json:"normalise,omitempty"`
	Schemas     []text `json:"schemas,omitempty"`
	Registry    string `json:"registry,omitempty"`
}

type item struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Validity  any       `json:"validity"` // in the largest unit that divides it: 1d, not 24h; validity where a word is not enough
	TakeUntil time.Time `json:"take_until,omitzero"`
	First     int64     `json:"first,omitempty"`
	Amount    int64     `json:"amount,omitempty"`
	Currency  string    `json:"currency,omitempty"`
}

type validity struct {
	Days  int    `json:"days,omitempty"`
	For   string `json:"for,omitempty"`
	From  string `json:"from,omitempty"`
	Until string `json:"until,omitempty"`
}

// Canonical returns the one spec among all that mean this campaign: JSON, which is YAML too, so that Parse reads it back as the
// same campaign with its times in UTC, or in its zone if it names one. It depends on every field but Hash and Canonical.
func Canonical(c *grant.Campaign) []byte {
	s := spec{
		Campaign:   c.Name,
		Title:      c.Title,
		StartsAt:   c.StartsAt.UTC(),
		Population: c.Population,
		Source: source{
			Topic:       c.Input.Topic,
			Format:      string(c.Input.Format),
			Path:        c.Input.Path,
			From:        string(c.Input.From),
			MaxID:       c.Input.MaxID,
			MaxRejected: grant.Percent(c.Input.MaxRejected),
			DeadLetters: c.Input.DeadLetters,
			Tombstones:  string(c.Input.Tombstones),
			Normalise:   c.Input.Normalise,
			Schemas:     formatSchemas(c.Input.Schemas),
			Registry:    c.Input.Registry,
		},
		Items:    make([]item, len(c.Items)),
		Approval: formatApproval(c.Approval),
		Exclude:  formatExcludes(c.Exclude),
	}
	if c.Input.Opaque() {
		s.Source.ID, s.Source.MaxID = string(c.Input.IDs), 0
	}
	if !c.EndsAt.IsZero() {
		s.EndsAt = c.EndsAt.UTC()
	}
	if c.Zone != nil {
		s.Zone = c.Zone.String()
	}
	for i, it := range c.Items {
		s.Items[i] = item{it.ID, string(it.Kind), formatValidity(it.Validity), time.Time{}, it.First, it.Amount, it.Currency}
		if !it.TakeUntil.IsZero() {
			s.Items[i].TakeUntil = it.TakeUntil.UTC()
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic(err) // only a time in a year above 9999 can fail, and Parse refuses it
	}
	return b.Bytes()
}

func hash(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}
