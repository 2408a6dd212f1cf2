// Package archive keeps the whole ledger of a campaign in one file: to put it away, to move it to another Redis or Cluster, and
// to read it without any of them.
//
// # The file
//
// A file is one zstd stream (RFC 8878). What is in it begins with the line "granter ledger 1\n"; records follow. A record is its
// length as an unsigned LEB128 varint (uvarint), and as many bytes, of which the first says what it is:
//
//	H  JSON: Header. The first record
//	C  JSON: one checkpoint. They were read before anything else, so whoever goes on from them reads again what was granted
//	   meanwhile, and leaves nothing out
//	K  a key of the campaign, or a page of one that is of no chunk:
//	     uvarint      0: of the campaign; else the chunk + 1
//	     uvarint, …   length of the name, and the name: granted, journal, runs, … (grant/ledger/keys.go)
//	     1 byte       s string, b bitmap, l list, h hash, t set
//	     uvarint      number of items; each is its length as uvarint, and its bytes
//	E  JSON: End, with counts, digests, and the SHA-256 of everything before this record. The last one
//
// The item of a bitmap is a Roaring bitmap in the portable format, of the places of users in their chunk: user = chunk × 65,536
// + place. Items of a hash are field and value in turn. The items of a journal are entries (grant/ledger/entry.go), whose members
// are Roaring bitmaps, too. All keys of a chunk stand together, and are of one moment. Chunks ascend.
//
// Where IDs are not dense, chunks are buckets: there are no bitmaps, and entries have members whole (grant/ledger/bucket.go).
package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

const magic = "granter ledger 1\n"

// ErrDamaged means that a file is no archive, or not what was written.
var ErrDamaged = errors.New("the file is damaged, or no export of a ledger")

// Header says what a file is of.
type Header struct {
	Campaign string    `json:"campaign"`
	Spec     string    `json:"spec"`           // its hash; empty: the ledger has none
	Format   int       `json:"format"`         // of the ledger; 0: what granter 0.1 left
	Since    string    `json:"since"`          // the first version of granter that knows that format
	Zone     string    `json:"zone,omitempty"` // of the spec's dates
	At       time.Time `json:"at"`             // when the export began, by the clock of Redis
	By       string    `json:"by"`
	Version  string    `json:"version"` // of granter
}

// Checkpoint is a ledger.NamedCheckpoint in JSON.
type Checkpoint struct {
	Version string        `json:"version"` // of the spec: the first digits of its hash
	Pass    string        `json:"pass,omitempty"`
	Topic   grant.TopicID `json:"topic"`
	Next    grant.Offsets `json:"next"`
	Epochs  map[int]int32 `json:"epochs"`
}

func (c *Checkpoint) named() ledger.NamedCheckpoint {
	return ledger.NamedCheckpoint{
		Version: c.Version, Pass: c.Pass, Checkpoint: grant.Checkpoint{Topic: c.Topic, Next: c.Next, Epochs: c.Epochs},
	}
}

// End says what is in a file.
type End struct {
	Chunks   int64  `json:"chunks"`
	Granted  int64  `json:"granted"`
	Excluded int64  `json:"excluded"`
	Parts    int64  `json:"parts"`  // keys and pages
	Users    string `json:"users"`  // digest of the granted users: that of granter status --prove (grant/digest)
	Ledger   string `json:"ledger"` // digest of all that is known of them: entries, acts, takes
	SHA256   string `json:"sha256"` // of what is before this record
}

// maxRecord bounds the memory that a damaged file may ask for: a chunk's journal has 65,536 grants at most, and acts.
const maxRecord = 1 << 30

type writer struct {
	out  *zstd.Encoder
	hash hash.Hash
	buf  []byte
	head []byte
}

func newWriter(w io.Writer) (*writer, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	out := &writer{out: z, hash: sha256.New()}
	err = out.write([]byte(magic))
	return out, err
}

func (w *writer) write(b []byte) error {
	w.hash.Write(b)
	_, err := w.out.Write(b)
	return err
}

func (w *writer) record(b []byte) error {
	w.head = binary.AppendUvarint(w.head[:0], uint64(len(b)))
	if err := w.write(w.head); err != nil {
		return err
	}
	return w.write(b)
}

func (w *writer) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.record(append([]byte{kind}, text...))
}

func (w *writer) part(p *ledger.Part) error {
	kind := byte(p.Kind)
	items := p.Items
	if ofBits(p) {
		bitmap, err := ledger.ToRoaring(items[0])
		if err != nil {
			return fmt.Errorf("chunk %d, %s: %w", p.Chunk, p.Name, err)
		}
		kind, items = 'b', []string{string(bitmap)}
	}
	w.buf = append(w.buf[:0], 'K')
	b := w.buf
	of := uint64(0)
	if p.OfChunk {
		of = p.Chunk + 1
	}
	b = binary.AppendUvarint(b, of)
	b = appendText(b, p.Name)
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(items)))
	for _, item := range items {
		b = appendText(b, item)
	}
	w.buf = b
	return w.record(b)
}

// ofBits reports whether a part is a bitmap of users: granted, excluded, and taken:N with the index of an item.
func ofBits(p *ledger.Part) bool {
	if p.Kind != ledger.PartString {
		return false
	}
	name := p.Name
	if !p.OfChunk { // CHUNK:taken:N, of an item with a quota
		_, name, _ = strings.Cut(name, ":")
	}
	_, item, taken := strings.Cut(name, "taken:")
	return name == "granted" && p.OfChunk || name == "excluded" && p.OfChunk || taken && !strings.Contains(item, ":")
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// end writes the last record, and what the compressor holds.
func (w *writer) end(e End) (End, error) {
	e.SHA256 = hex.EncodeToString(w.hash.Sum(nil))
	return e, errors.Join(w.json('E', e), w.out.Close())
}

// record is one record of a file. One of the pointers is set.
type record struct {
	header     *Header
	checkpoint *Checkpoint
	part       *ledger.Part
	end        *End
}

type reader struct {
	z    *zstd.Decoder
	in   *bufio.Reader
	hash hash.Hash
	buf  []byte
	over bool
}

func newReader(r io.Reader) (*reader, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, err
	}
	out := &reader{z: z, in: bufio.NewReaderSize(z, 1<<20), hash: sha256.New()}
	begins := make([]byte, len(magic))
	if _, err := io.ReadFull(out.in, begins); err != nil || string(begins) != magic {
		z.Close()
		if strings.HasPrefix(string(begins), "granter ledger ") {
			return nil, fmt.Errorf("a file of format %q: use a newer granter", strings.TrimSpace(string(begins)))
		}
		return nil, ErrDamaged
	}
	out.hash.Write(begins)
	return out, nil
}

func (r *reader) close() { r.z.Close() }

// next reads a record; io.EOF follows the last one. Everything is checked that can be: a file that was cut off, or changed
// anywhere, is ErrDamaged before its end is believed.
func (r *reader) next() (record, error) {
	length, head, err := r.uvarint()
	switch {
	case errors.Is(err, io.EOF) && r.over:
		return record{}, io.EOF
	case err != nil || r.over || length == 0 || length > maxRecord:
		return record{}, fmt.Errorf("%w: it ends early, or goes on behind its end", ErrDamaged)
	}
	if r.buf, err = readN(r.in, r.buf[:0], int(length)); err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	sum := hex.EncodeToString(r.hash.Sum(nil))
	r.hash.Write(head)
	r.hash.Write(r.buf)
	out, err := readRecord(r.buf)
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if out.end != nil {
		if r.over = true; out.end.SHA256 != sum {
			return out, fmt.Errorf("%w: its SHA-256 is %s, should be %s", ErrDamaged, sum, out.end.SHA256)
		}
	}
	return out, nil
}

// readN appends n bytes, and takes memory as they come: n may be anything in a damaged file.
func readN(r io.Reader, buf []byte, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, 1<<20)
		at := len(buf)
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return buf, err
		}
		n -= step
	}
	return buf, nil
}

func (r *reader) uvarint() (v uint64, read []byte, err error) {
	for shift := 0; shift < 64; shift += 7 {
		b, err := r.in.ReadByte()
		if err != nil {
			if len(read) > 0 || !errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			return 0, read, err
		}
		read = append(read, b)
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, read, nil
		}
	}
	return 0, read, ErrDamaged
}

func readRecord(b []byte) (out record, err error) {
	kind, rest := b[0], b[1:]
	switch kind {
	case 'H':
		out.header = new(Header)
		err = json.Unmarshal(rest, out.header)
	case 'C':
		out.checkpoint = new(Checkpoint)
		err = json.Unmarshal(rest, out.checkpoint)
	case 'E':
		out.end = new(End)
		err = json.Unmarshal(rest, out.end)
	case 'K':
		out.part, err = readPart(rest)
	default:
		err = fmt.Errorf("a record of kind %q, which this granter does not know", kind)
	}
	return out, err
}

func readPart(b []byte) (*ledger.Part, error) {
	f := fields{rest: b}
	p := &ledger.Part{}
	of := f.uvarint()
	if p.OfChunk = of > 0; p.OfChunk {
		p.Chunk = of - 1
	}
	p.Name = f.text()
	kind := f.byte()
	n := f.uvarint()
	for i := uint64(0); i < n && !f.short; i++ {
		p.Items = append(p.Items, f.text())
	}
	if f.short || len(f.rest) > 0 || len(p.Items) == 0 {
		return nil, errors.New("the lengths of a key do not fit")
	}
	switch p.Kind = ledger.PartKind(kind); kind {
	case 'b':
		text, err := ledger.FromRoaring([]byte(p.Items[0]))
		if err != nil || len(p.Items) != 1 {
			return nil, fmt.Errorf("chunk %d, %s: no bitmap: %w", p.Chunk, p.Name, err)
		}
		p.Kind, p.Items[0] = ledger.PartString, text
	case 's':
		if len(p.Items) != 1 {
			return nil, errors.New("a string has one item")
		}
	case 'h':
		if len(p.Items)%2 != 0 {
			return nil, errors.New("a field has no value")
		}
	case 'l', 't':
	default:
		return nil, fmt.Errorf("a key of type %q", kind)
	}
	return p, nil
}

type fields struct {
	rest  []byte
	short bool
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.short, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) byte() byte {
	if len(f.rest) == 0 {
		f.short = true
		return 0
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b
}

func (f *fields) text() string {
	n := f.uvarint()
	if n > uint64(len(f.rest)) {
		f.short, f.rest = true, nil
		return ""
	}
	text := string(f.rest[:n])
	f.rest = f.rest[n:]
	return text
}
