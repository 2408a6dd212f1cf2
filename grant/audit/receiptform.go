package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReadReceipt reads a receipt as granter writes it, whatever the white space between its parts. What is in it twice, under
// another name, or in another form, would be read differently by others, and nothing that is not under the signature belongs
// into it.
func ReadReceipt(data []byte) (*Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("no receipt: %w", err)
	}
	if _, _, known := r.kindOf(); !known { // a newer one may have more in it
		return nil, r.unknown()
	}
	form, err := r.form()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	text, err := json.Marshal(form)
	if err != nil {
		return nil, err
	}
	got, err := tokens(data)
	if err != nil {
		return nil, fmt.Errorf("no receipt: %w", err)
	}
	want, err := tokens(text)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(got, want) {
		return nil, fmt.Errorf("%w: it is not in the form that granter gives it (%s)", ErrReceipt, firstOther(got, want))
	}
	return &r, nil
}

// form is the receipt with numbers, times and hashes in the one form that they have.
func (r *Receipt) form() (*Receipt, error) {
	s, err := r.said()
	if err != nil {
		return nil, err
	}
	out := *r
	out.Flush, out.Run = fmt.Sprint(s.flush), fmt.Sprintf("%016x", s.run)
	if _, members, _ := r.kindOf(); !members { // what other IDs are like, the spec says: see statement
		user, err := strconv.ParseUint(r.User, 10, 64)
		if err != nil {
			return nil, err
		}
		out.User = fmt.Sprint(user)
	}
	out.At = time.UnixMilli(int64(s.at)).UTC()
	out.Blind, out.Chunk.Content = strings.ToLower(r.Blind), strings.ToLower(r.Chunk.Content)
	for _, step := range []*Step{&out.Group, &out.Chunk.Step, &out.Report} {
		step.Path = slices.Clone(step.Path)
		for i, text := range step.Path {
			step.Path[i] = strings.ToLower(text)
		}
	}
	return &out, nil
}

// tokens are the parts of a JSON text, in their order.
func tokens(data []byte) (list []json.Token, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, token)
	}
}

// firstOther names the first part that is another one.
func firstOther(got, want []json.Token) string {
	for i, token := range got {
		if i == len(want) || token != want[i] {
			return fmt.Sprintf("%.40q", fmt.Sprint(token))
		}
	}
	return "something is missing at its end"
}
