package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// stream inflates a batch that is too large to be held whole, a window at a time. A record must fit into the window.
type stream struct {
	from   io.Reader
	window []byte
	err    error // why there is no more; io.EOF: that was all
}

const firstWindow = 1 << 20

// stream returns nil where the format has no smaller parts.
func (b *batch) stream() (*stream, error) {
	switch codec := compress.Compression(b.attributes & attrCompression); codec {
	case compress.Gzip, compress.Lz4:
		return &stream{from: codec.Codec().NewReader(bytes.NewReader(b.payload))}, nil
	case compress.Zstd:
		from, err := zstd.NewReader(bytes.NewReader(b.payload), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxInflated))
		return &stream{from: from}, err
	case compress.Snappy:
		if bytes.HasPrefix(b.payload, xerial) && len(b.payload) >= xerialHeader {
			return &stream{from: &snappyBlocks{data: b.payload[xerialHeader:]}}, nil
		}
	default:
	}
	return nil, nil
}

// more moves what is left to the front of the window, which it enlarges if need be, and fills it: inflating hands over little
// at a time, and what is left of a large record must not be moved each time. It reports whether anything came.
func (s *stream) more(left []byte) (data []byte, ok bool) {
	if s.err != nil {
		return left, false
	}
	size := cap(s.window)
	if 2*len(left) >= size {
		if size = max(2*size, firstWindow); size > maxInflated {
			s.err = errInflated // one record alone
			return left, false
		}
	}
	window := s.window[:0]
	if size > cap(window) {
		window = make([]byte, 0, size)
	}
	window = append(window, left...)
	for len(window) < size && s.err == nil {
		var n int
		n, s.err = s.from.Read(window[len(window):size])
		window = window[:len(window)+n]
	}
	s.window = window
	return window, len(window) > len(left)
}

// because says what keeps a record from being read.
func (s *stream) because(err error) error {
	if s == nil || s.err == nil || errors.Is(s.err, io.EOF) {
		return err
	}
	return fmt.Errorf("%w: %w", errCorrupt, s.err)
}

// snappyBlocks inflates the blocks of Java's library one after the other.
type snappyBlocks struct {
	data []byte // what is left of them
	out  []byte // what is left of the last one
}

func (s *snappyBlocks) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if len(s.data) == 0 {
			return 0, io.EOF
		}
		if len(s.data) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		size := int(binary.BigEndian.Uint32(s.data))
		if s.data = s.data[4:]; size > len(s.data) {
			return 0, io.ErrUnexpectedEOF
		}
		var buf bytes.Buffer
		if err := inflateBlock(&buf, s.data[:size]); err != nil {
			return 0, err
		}
		s.out, s.data = buf.Bytes(), s.data[size:]
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}
