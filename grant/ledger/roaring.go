package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/granter/granter/sharding/dense"
)

// ToRoaring makes the portable form of a Roaring bitmap of a chunk's bitmap as Redis has it: with one container of key 0.
func ToRoaring(bitmap string) ([]byte, error) {
	var b dense.Bitmap
	if copy(b[:], bitmap) < len(bitmap) {
		return nil, fmt.Errorf("the bitmap has %d bytes, more than %d", len(bitmap), len(b))
	}
	out, n := appendTail(nil, nil, nil, &b)
	if n == 0 {
		return nil, errors.New("the bitmap is empty")
	}
	return withoutCount(out), nil
}

// withoutCount takes the number of members off what appendTail writes without head and ranges.
func withoutCount(b []byte) []byte {
	_, n := binary.Uvarint(b)
	return b[n:]
}

// FromRoaring is the inverse of ToRoaring. Zeros at the end are left out, as Redis does.
func FromRoaring(data []byte) (string, error) {
	count, err := roaringCount(data)
	if err != nil {
		return "", err
	}
	set, err := openMembers(data, count)
	if err != nil {
		return "", err
	}
	var b dense.Bitmap
	if err := set.decode(&b); err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b[:], "\x00")), nil
}

// roaringCount reads how many members a bitmap with one container says that it has.
func roaringCount(data []byte) (int, error) {
	at := 10 // behind cookie, number of containers and key
	if len(data) > 4 && data[0] == roaringRuns&0xff && data[1] == roaringRuns>>8 {
		at = 7 // behind cookie, run flags and key
	}
	if len(data) < at+2 {
		return 0, errShort
	}
	return (int(data[at]) | int(data[at+1])<<8) + 1, nil
}
