package rejected

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
)

// The reasons why a letter stays bad that no record is rejected for.
const (
	NotMapped   source.Reason = "not_mapped"   // the mapping does not have what it holds
	NotRepaired source.Reason = "not_repaired" // the command had no answer
	LineBreak   source.Reason = "line_break"   // it cannot be given to a command as a line
	CutOff      source.Reason = "cut_off"      // it was stored cut: the topic has the whole record, if anything still has
)

// Meaning is which user a letter means; the reason is empty if it means one.
type Meaning struct {
	User   grant.UserID
	Reason source.Reason
}

// A Repair says which users letters mean, in their order.
type Repair func(ctx context.Context, letters []*source.Letter) ([]Meaning, error)

// ByDecoder reads letters by the rules of another input than the campaign's. Of Kafka it uses how the schema registry is
// reached, if the input has one.
func ByDecoder(in grant.Input, k source.Kafka) (Repair, error) {
	s, err := source.New(source.Config{Kafka: k, Topic: in})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, letters []*source.Letter) ([]Meaning, error) {
		defer s.Close() //nolint:errcheck // only idle connections are closed
		for _, l := range letters {
			if err := s.Learn(ctx, l.Parts()); err != nil {
				return nil, err
			}
		}
		return each(func(l *source.Letter) Meaning {
			user, reason := s.Decode(l.Parts())
			return Meaning{user, reason}
		})(ctx, letters)
	}, nil
}

// each makes a repair of one that looks at a letter alone.
func each(one func(*source.Letter) Meaning) Repair {
	return func(_ context.Context, letters []*source.Letter) ([]Meaning, error) {
		out := make([]Meaning, len(letters))
		for i, l := range letters {
			if out[i] = (Meaning{Reason: CutOff}); l.Whole == 0 {
				out[i] = one(l)
			}
		}
		return out, nil
	}
}

// ReadMapping reads a file of two columns, comma-separated: what a record holds where the ID should be, as text or as 0x and
// hexadecimal digits, and the user ID that it means. A line that begins with # is none.
func ReadMapping(r io.Reader, in grant.Input) (map[string]grant.UserID, error) {
	out, form := map[string]grant.UserID{}, userid.FormOf(&in)
	lines := csv.NewReader(r)
	lines.Comment, lines.FieldsPerRecord = '#', 2
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("mapping: want two columns, FROM,TO: %w", err)
		}
		line, _ := lines.FieldPos(0)
		from := fields[0]
		if digits, ok := strings.CutPrefix(from, "0x"); ok {
			raw, err := hex.DecodeString(digits)
			if err != nil {
				return nil, fmt.Errorf("mapping, line %d: %q: want hexadecimal digits, two for each byte, behind 0x", line, from)
			}
			from = string(raw)
		}
		to, err := form.Parse(fields[1])
		if err != nil {
			return nil, fmt.Errorf("mapping, line %d: %w", line, err)
		}
		if other, ok := out[from]; ok && other != to {
			return nil, fmt.Errorf("mapping, line %d: %q means user %s and user %s", line, from, other, to)
		}
		out[from] = to
	}
}

// ByMapping looks letters up, by what they hold where the campaign's input has the ID.
func ByMapping(mapping map[string]grant.UserID, in grant.Input) Repair {
	return each(func(l *source.Letter) Meaning {
		if user, ok := mapping[string(l.Parts().Holder(&in))]; ok {
			return Meaning{User: user}
		}
		return Meaning{Reason: NotMapped}
	})
}

// ByCommand asks a shell command, which gets what each letter holds where the campaign's input has the ID as a line, and
// answers each with a line: a user ID, or nothing. It is started once for some thousands of them.
func ByCommand(command string, in grant.Input) Repair {
	form := userid.FormOf(&in)
	return func(ctx context.Context, letters []*source.Letter) ([]Meaning, error) {
		out := make([]Meaning, len(letters))
		var lines bytes.Buffer
		var asked []int
		for i, l := range letters {
			data := l.Parts().Holder(&in)
			switch {
			case l.Whole > 0:
				out[i].Reason = CutOff
			case bytes.ContainsAny(data, "\r\n"):
				out[i].Reason = LineBreak
			default:
				lines.Write(data)
				lines.WriteByte('\n')
				asked = append(asked, i)
			}
		}
		if len(asked) == 0 {
			return out, nil
		}
		cmd := exec.CommandContext(ctx, "sh", "-c", command) //nolint:gosec // the operator says which command
		var wrong bytes.Buffer
		cmd.Stdin, cmd.Stderr = &lines, &wrong
		answer, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(wrong.String()))
		}
		answers := strings.Split(strings.TrimSuffix(string(answer), "\n"), "\n")
		if len(answers) != len(asked) {
			return nil, fmt.Errorf("%s: it got %d lines and answered %d: want one for each, empty where there is no user ID",
				command, len(asked), len(answers))
		}
		for n, i := range asked {
			text := strings.TrimSuffix(answers[n], "\r")
			if out[i].Reason = NotRepaired; text != "" {
				user, fault := form.Read([]byte(text))
				out[i] = Meaning{user, source.Reason(fault)}
			}
		}
		return out, nil
	}
}
