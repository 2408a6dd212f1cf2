package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// Compressed batches come from whoever may write to the topic, and a small one must not take all memory. kafka-go's
// readers for Snappy and Zstandard allocate whatever size the data declare (3 GiB for ten bytes), so those two are read
// here. Both formats limit what a byte can inflate to; a size above that is a lie.
const (
	maxInflated = 128 << 20 // a batch that inflates beyond this is read as a stream; a record beyond it is refused
	snappyRatio = 32        // three bytes copy up to 64: 22
	zstdBlock   = 128 << 10 // the largest block, which takes three bytes at least
)

var errInflated = fmt.Errorf("inflates beyond %d MiB", maxInflated>>20)

// inflate returns the records of a batch, decompressed into buf if need be.
func (b *batch) inflate(buf *bytes.Buffer) (data []byte, err error) {
	codec := compress.Compression(b.attributes & attrCompression)
	if codec == compress.None || len(b.payload) == 0 {
		return b.payload, nil
	}
	buf.Reset()
	switch codec {
	case compress.Gzip, compress.Lz4:
		err = inflateStream(buf, codec, b.payload)
	case compress.Snappy:
		err = inflateSnappy(buf, b.payload)
	case compress.Zstd:
		err = inflateZstd(buf, b.payload)
	default:
		return nil, fmt.Errorf("%w at offset %d: unknown compression %d", errCorrupt, b.base, codec)
	}
	if err != nil {
		return nil, fmt.Errorf("%w at offset %d: %s: %w", errCorrupt, b.base, codec, err)
	}
	return buf.Bytes(), nil
}

func inflateStream(buf *bytes.Buffer, codec compress.Compression, data []byte) error {
	r := codec.Codec().NewReader(bytes.NewReader(data))
	defer r.Close() // gives the decoder back
	n, err := buf.ReadFrom(io.LimitReader(r, maxInflated+1))
	if err == nil && n > maxInflated {
		err = errInflated
	}
	return err
}

// xerial is how Java's library begins a sequence of Snappy blocks, each behind its size; other clients write one bare
// block. Two version numbers follow.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

func inflateSnappy(buf *bytes.Buffer, data []byte) error {
	if !bytes.HasPrefix(data, xerial) {
		return inflateBlock(buf, data)
	}
	if len(data) < xerialHeader {
		return io.ErrUnexpectedEOF
	}
	for data = data[xerialHeader:]; len(data) > 0; {
		if len(data) < 4 {
			return io.ErrUnexpectedEOF
		}
		size := int(binary.BigEndian.Uint32(data))
		if data = data[4:]; size > len(data) {
			return io.ErrUnexpectedEOF
		}
		if err := inflateBlock(buf, data[:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

func inflateBlock(buf *bytes.Buffer, block []byte) error {
	n, err := snappy.DecodedLen(block)
	switch {
	case err != nil:
		return err
	case n > snappyRatio*len(block):
		return fmt.Errorf("%d bytes declare to be %d", len(block), n)
	case buf.Len()+n > maxInflated:
		return errInflated
	}
	buf.Grow(n)
	out, err := snappy.Decode(buf.AvailableBuffer()[:n], block)
	if err == nil {
		buf.Write(out)
	}
	return err
}

// zstdDecoder decodes whole payloads, for all partitions. Used so it has no goroutines.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxInflated))
})

func inflateZstd(buf *bytes.Buffer, data []byte) error {
	d, err := zstdDecoder()
	if err != nil {
		return err
	}
	var header zstd.Header
	if err := header.Decode(data); err != nil {
		return err
	}
	if most := uint64(len(data)/3+1) * zstdBlock; header.HasFCS && header.FrameContentSize > most {
		return fmt.Errorf("%d bytes declare to be %d", len(data), header.FrameContentSize)
	}
	out, err := d.DecodeAll(data, buf.AvailableBuffer())
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return errInflated
	}
	*buf = *bytes.NewBuffer(out) // its own memory, or larger
	return err
}
