package userid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

// drain reads a list to its end, a few IDs at a time.
func drain(ctx context.Context, l *List, block int) (ids []grant.UserID, err error) {
	dst := make([]grant.UserID, block)
	for err == nil {
		var n int
		n, err = l.Next(ctx, dst)
		ids = append(ids, dst[:n]...)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return ids, err
}

func TestListReadsIDs(t *testing.T) {
	for name, text := range map[string]string{
		"LF":                  "0\n12\n9223372036854775807\n",
		"CRLF":                "0\r\n12\r\n9223372036854775807\r\n",
		"no line end at end":  "0\n12\n9223372036854775807",
		"mixed":               "0\r\n12\n9223372036854775807\r",
		"byte order mark":     "\ufeff0\n12\n9223372036854775807\n",
		"byte order mark, CR": "\ufeff0\r\n12\r\n9223372036854775807\r\n",
	} {
		for _, block := range []int{1, 2, 100} {
			for _, r := range []io.Reader{
				strings.NewReader(text),
				iotest.OneByteReader(strings.NewReader(text)),
				iotest.DataErrReader(strings.NewReader(text)),
			} {
				lines := ReadList(r, 0)
				ids, err := drain(t.Context(), lines, block)
				require.NoError(t, err, name)
				require.Equal(t, grant.NumberIDs(0, 12, grant.MaxUserID), ids, name)
				require.EqualValues(t, 3, lines.Line())
			}
		}
	}
	ids, err := drain(t.Context(), ReadList(strings.NewReader(""), 0), 10)
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestListOfAnyLengthSurviveChunkBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list bytes.Buffer
		var want []grant.UserID
		for range rapid.IntRange(1, 200).Draw(t, "lines") {
			id := drawID(t)
			want = append(want, id)
			fmt.Fprintf(&list, "%s%s", id, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end"))
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 20).Draw(t, "reads")
		ids, err := drain(context.Background(), ReadList(&pieces{data: list.Bytes(), sizes: sizes}, 0),
			rapid.IntRange(1, 300).Draw(t, "block"))
		require.NoError(t, err)
		require.Equal(t, want, ids)
	})
}

// pieces is a reader of irregular reads.
type pieces struct {
	data  []byte
	sizes []int
	turn  int
}

func (p *pieces) Read(dst []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(dst[:min(len(dst), p.sizes[p.turn%len(p.sizes)])], p.data)
	p.turn++
	p.data = p.data[n:]
	return n, nil
}

func TestABadLineEndsTheListWithItsNumberAfterWhatCameBefore(t *testing.T) {
	for _, c := range []struct{ line, problem string }{
		{"", "the line is blank"},
		{"x", "not a decimal user ID"},
		{"user_id", "not a decimal user ID"},
		{"-1", "not a decimal user ID"},
		{"+1", "not a decimal user ID"},
		{" 1", "not a decimal user ID"},
		{"1 ", "not a decimal user ID"},
		{"1,2", "not a decimal user ID"},
		{"1.0", "not a decimal user ID"},
		{"\ufeff1", "not a decimal user ID"},
		{"1\r", "not a decimal user ID"}, // with the CR of the line end there are two
		{"007", "leading zeros"},
		{"00000000000000000000001", "leading zeros"},
		{"1001", "above the limit of 1000"},
		{"18446744073709551616", "above the limit of 1000"},
		{strings.Repeat("9", 400), "above the limit of 1000"},
		{strings.Repeat("9", maxLine+1), "longer than 4096 bytes"},
	} {
		for _, end := range []string{"\r\n", "\r\n3\r\n"} {
			text := "1\r\n2\r\n" + c.line + end
			for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
				src := ReadList(r, 1000)
				ids, err := drain(t.Context(), src, 10)
				require.Equal(t, grant.NumberIDs(1, 2), ids, "%.20q", c.line)
				require.ErrorIs(t, err, ErrBadLine)
				require.ErrorContains(t, err, "line 3: ")
				require.ErrorContains(t, err, c.problem)
				require.Less(t, len(err.Error()), 400)
				var bad *LineError
				require.ErrorAs(t, err, &bad)
				require.EqualValues(t, 3, bad.Line)

				n, again := src.Next(t.Context(), make([]grant.UserID, 1))
				require.Zero(t, n)
				require.Equal(t, err, again)
			}
		}
	}
}

func TestListReportsTheReadersError(t *testing.T) {
	broken := errors.New("disk on fire")
	src := ReadList(io.MultiReader(strings.NewReader("1\n2\n3"), iotest.ErrReader(broken)), 0)
	ids, err := drain(t.Context(), src, 10)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "after line 2")
	require.Equal(t, grant.NumberIDs(1, 2), ids, "a line that broke off is not an ID")
}

func TestListHandsOutWhatAPipeHasReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		src := ReadList(r, 0)
		dst := make([]grant.UserID, 100)
		go w.Write([]byte("1\n2\n3"))
		n, err := src.Next(t.Context(), dst)
		require.NoError(t, err)
		require.Equal(t, grant.NumberIDs(1, 2), dst[:n], "the rest of the third line may still come")

		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		_, err = src.Next(ctx, dst)
		require.ErrorIs(t, err, context.Canceled, "although the pipe still blocks")
		require.NoError(t, w.Close())
	})
}

func FuzzList(f *testing.F) {
	for _, seed := range []string{
		"1\n2\n", "1\r\n\r\n", "\ufeff5", "9223372036854775808\n", "007", "\n", "\r", "1\x00", "18446744073709551615",
	} {
		f.Add([]byte(seed), grant.MaxUserID)
		f.Add([]byte(seed), uint64(5))
	}
	f.Fuzz(func(t *testing.T, list []byte, limit uint64) {
		maxID := max(1, limit&grant.MaxUserID)
		read := func(r io.Reader, block int) ([]grant.UserID, error) {
			return drain(t.Context(), ReadList(r, maxID), block)
		}
		ids, err := read(bytes.NewReader(list), 7)
		again, err2 := read(iotest.OneByteReader(bytes.NewReader(list)), 3)
		require.Equal(t, ids, again, "however the list arrives")
		require.Equal(t, err, err2)

		lines := strings.Split(strings.TrimPrefix(string(list), "\ufeff"), "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		for i, id := range ids {
			text := strings.TrimSuffix(lines[i], "\r")
			require.LessOrEqual(t, id.Number(), maxID)
			require.Equal(t, id.String(), text)
		}
		if err == nil {
			require.Len(t, ids, len(lines))
			return
		}
		var bad *LineError
		require.ErrorAs(t, err, &bad)
		require.EqualValues(t, len(ids)+1, bad.Line)
		require.LessOrEqual(t, len(bad.Text), 64+len("…"))
	})
}

// drawID draws an ID of any number of digits.
func drawID(t *rapid.T) grant.UserID {
	digits := rapid.IntRange(1, 19).Draw(t, "digits")
	return grant.NumberID(min(grant.MaxUserID, rapid.Uint64Range(0, uint64(math.Pow10(digits))-1).Draw(t, "id")))
}

func BenchmarkList(b *testing.B) {
	var list bytes.Buffer
	const lines = 1_000_000
	for i := range lines {
		fmt.Fprintln(&list, 10_000_000+i)
	}
	block := make([]grant.UserID, 2048)
	b.SetBytes(int64(list.Len()))
	b.ReportAllocs()
	for b.Loop() {
		src := ReadList(bytes.NewReader(list.Bytes()), 0)
		for err := error(nil); err == nil; {
			_, err = src.Next(b.Context(), block)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
}
