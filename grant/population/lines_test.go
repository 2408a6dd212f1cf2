package population

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

// drain reads a source to its end, a few records at a time.
func drain(ctx context.Context, src Source, block int) (records []Record, err error) {
	dst := make([]Record, block)
	for err == nil {
		var n int
		n, err = src.Next(ctx, dst)
		records = append(records, dst[:n]...)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return records, err
}

func ids(records []Record) (out []grant.UserID) {
	for _, r := range records {
		out = append(out, r.ID)
	}
	return out
}

func TestLinesReadsIDs(t *testing.T) {
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
				lines := ReadLines(r, decimalTopic("t"))
				records, err := drain(t.Context(), lines, block)
				require.NoError(t, err, name)
				require.Equal(t, []grant.UserID{0, 12, grant.MaxUserID}, ids(records), name)
				require.EqualValues(t, 3, lines.Line())
			}
		}
	}
	records, err := drain(t.Context(), ReadLines(strings.NewReader(""), decimalTopic("t")), 10)
	require.NoError(t, err)
	require.Empty(t, records)
}

func TestLinesOfAnyLengthSurviveChunkBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list bytes.Buffer
		var want []grant.UserID
		for range rapid.IntRange(1, 200).Draw(t, "lines") {
			id := drawID(t, 0)
			want = append(want, id)
			fmt.Fprintf(&list, "%d%s", id, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end"))
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 20).Draw(t, "reads")
		records, err := drain(context.Background(), ReadLines(&pieces{data: list.Bytes(), sizes: sizes}, decimalTopic("t")),
			rapid.IntRange(1, 300).Draw(t, "block"))
		require.NoError(t, err)
		require.Equal(t, want, ids(records))
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
	topic := decimalTopic("t")
	topic.MaxID = 1000
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
				src := ReadLines(r, topic)
				records, err := drain(t.Context(), src, 10)
				require.Equal(t, []grant.UserID{1, 2}, ids(records), "%.20q", c.line)
				require.ErrorIs(t, err, ErrBadLine)
				require.ErrorContains(t, err, "line 3: ")
				require.ErrorContains(t, err, c.problem)
				require.Less(t, len(err.Error()), 400)
				var bad *LineError
				require.ErrorAs(t, err, &bad)
				require.EqualValues(t, 3, bad.Line)

				n, again := src.Next(t.Context(), make([]Record, 1))
				require.Zero(t, n)
				require.Equal(t, err, again)
			}
		}
	}
}

func TestLinesReportsTheReadersError(t *testing.T) {
	broken := errors.New("disk on fire")
	src := ReadLines(io.MultiReader(strings.NewReader("1\n2\n3"), iotest.ErrReader(broken)), decimalTopic("t"))
	records, err := drain(t.Context(), src, 10)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "after line 2")
	require.Equal(t, []grant.UserID{1, 2}, ids(records), "a line that broke off is not an ID")
}

func TestLinesHandsOutWhatAPipeHasReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		src := ReadLines(r, decimalTopic("t"))
		dst := make([]Record, 100)
		go w.Write([]byte("1\n2\n3"))
		n, err := src.Next(t.Context(), dst)
		require.NoError(t, err)
		require.Equal(t, []grant.UserID{1, 2}, ids(dst[:n]), "the rest of the third line may still come")

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

func FuzzLines(f *testing.F) {
	for _, seed := range []string{
		"1\n2\n", "1\r\n\r\n", "\ufeff5", "9223372036854775808\n", "007", "\n", "\r", "1\x00", "18446744073709551615",
	} {
		f.Add([]byte(seed), uint64(grant.MaxUserID))
		f.Add([]byte(seed), uint64(5))
	}
	f.Fuzz(func(t *testing.T, list []byte, limit uint64) {
		topic := decimalTopic("t")
		topic.MaxID = grant.UserID(max(1, limit&uint64(grant.MaxUserID)))
		read := func(r io.Reader, block int) ([]Record, error) {
			return drain(t.Context(), ReadLines(r, topic), block)
		}
		records, err := read(bytes.NewReader(list), 7)
		again, err2 := read(iotest.OneByteReader(bytes.NewReader(list)), 3)
		require.Equal(t, records, again, "however the list arrives")
		require.Equal(t, err, err2)

		lines := strings.Split(strings.TrimPrefix(string(list), "\ufeff"), "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		for i, r := range records {
			text := strings.TrimSuffix(lines[i], "\r")
			require.LessOrEqual(t, r.ID, topic.MaxID)
			require.Equal(t, strconv.FormatUint(uint64(r.ID), 10), text)
		}
		if err == nil {
			require.Len(t, records, len(lines))
			return
		}
		var bad *LineError
		require.ErrorAs(t, err, &bad)
		require.EqualValues(t, len(records)+1, bad.Line)
		require.LessOrEqual(t, len(bad.Text), 64+len("…"))
	})
}
