package rejected

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

func TestRepairs(t *testing.T) {
	in := grant.Input{Topic: "users", Format: grant.FormatDecimal, MaxID: 1000}
	mapping, err := ReadMapping(strings.NewReader("# repaired by hand\nminji,12\n\"a,b\",13\n0x00ff,14\n"), in)
	require.NoError(t, err)
	decoder, err := ByDecoder(grant.Input{Format: grant.FormatJSON, Path: "id"}, source.Kafka{})
	require.NoError(t, err)
	bytes := func(values ...string) (list []*source.Letter) {
		for _, v := range values {
			list = append(list, &source.Letter{Value: []byte(v)})
		}
		return list
	}
	cut := &source.Letter{Value: []byte("12"), Whole: 1 << 30}
	for name, c := range map[string]struct {
		repair  Repair
		letters []*source.Letter
		want    []Meaning
	}{
		"mapping": {ByMapping(mapping, in), append(bytes("minji", "a,b", "\x00\xff", "jiyoon"), cut),
			[]Meaning{{grant.NumberID(12), ""}, {grant.NumberID(13), ""}, {grant.NumberID(14), ""}, {grant.NumberID(0),
				NotMapped}, {grant.NumberID(0), CutOff}}},
		"decoder": {decoder, bytes(`{"id": 7}`, `{"id": -7}`), []Meaning{{grant.NumberID(7), ""}, {grant.NumberID(0),
			source.ReasonNegative}}},
		"command": {ByCommand("tr -d ' u'", in), append(bytes("1 2", "u7", "", "9999", "1\n2", "x", "u"), cut), []Meaning{
			{grant.NumberID(12), ""}, {grant.NumberID(7), ""}, {grant.NumberID(0), NotRepaired}, {grant.NumberID(0),
				source.ReasonOverLimit}, {grant.NumberID(0), LineBreak}, {grant.NumberID(0), source.ReasonNotDecimal},
			{grant.NumberID(0), NotRepaired},
			{grant.NumberID(0), CutOff}}},
		"nobody": {ByCommand("exit 1", in), nil, []Meaning{}},
	} {
		got, err := c.repair(t.Context(), c.letters)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
	for command, says := range map[string]string{
		"cat >/dev/null; echo oops >&2; exit 3": "oops", "cat >/dev/null; echo 1": "it got 2 lines and answered 1",
	} {
		_, err := ByCommand(command, in)(t.Context(), bytes("1", "2"))
		require.ErrorContains(t, err, says, command)
	}
	for text, says := range map[string]string{
		"a": "two columns", "a,x": "line 1", "a,1\na,2": "means user 1 and user 2", "0xf,1": "hexadecimal", "a,1001": "1000",
	} {
		_, err := ReadMapping(strings.NewReader(text), in)
		require.ErrorContains(t, err, says, text)
	}
	_, err = ParsePlace("3-4")
	require.ErrorContains(t, err, "PARTITION/OFFSET")
}
