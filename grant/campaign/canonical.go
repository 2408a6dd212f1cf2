package campaign

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
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
	Population int64     `json:"population,omitempty"`
	Source     source    `json:"source"`
	Items      []item    `json:"items"` // in the order of the file, which is the order in which users see them
}

type source struct {
	Topic       string `json:"topic"`
	Format      string `json:"format"`
	Path        string `json:"path,omitempty"`
	From        string `json:"from"`
	MaxID       uint64 `json:"max_id"`
	MaxRejected string `json:"max_rejected"` // in percent, without trailing zeros
	DeadLetters string `json:"dead_letters,omitempty"`
	Tombstones  string `json:"tombstones,omitempty"`
}

type item struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Validity string `json:"validity"` // in the largest unit that divides it: 1d, not 24h
	Amount   int64  `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
}

// Canonical returns the one spec among all that mean this campaign: JSON, which is YAML too, so that Parse reads it back as the
// same campaign with its times in UTC. It depends on every field but Hash and Canonical.
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
			MaxID:       uint64(c.Input.MaxID),
			MaxRejected: grant.Percent(c.Input.MaxRejected),
			DeadLetters: c.Input.DeadLetters,
			Tombstones:  string(c.Input.Tombstones),
		},
		Items: make([]item, len(c.Items)),
	}
	if !c.EndsAt.IsZero() {
		s.EndsAt = c.EndsAt.UTC()
	}
	for i, it := range c.Items {
		s.Items[i] = item{it.ID, string(it.Kind), formatValidity(it.Validity), it.Amount, it.Currency}
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

func formatValidity(v time.Duration) string {
	if v == 0 {
		return permanent
	}
	for _, u := range units {
		if v%u.length == 0 {
			return strconv.FormatInt(int64(v/u.length), 10) + u.letter
		}
	}
	return v.String() // finer than a second: Parse makes no such validity
}
