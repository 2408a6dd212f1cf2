package documents

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/granter/granter/grant/claims/resident"
)

// Code is why a document was refused.
type Code string

// The codes.
const (
	Empty        Code = "empty"
	TooBig       Code = "too_big"
	UnknownType  Code = "unknown_type"
	LyingType    Code = "lying_type" // its name says another type than its content
	CutOff       Code = "cut_off"
	Bomb         Code = "too_big_inside" // it would become far larger where somebody opens it
	Active       Code = "active"         // it has a program in it
	Resident     Code = "resident_number"
	Malware      Code = "malware"
	Full         Code = "full"
	Late         Code = "late"
	InQuarantine Code = "quarantined"
	NotRedacted  Code = "not_redacted" // it is the document itself
)

// Codes are all of them.
var Codes = []Code{
	Empty, TooBig, UnknownType, LyingType, CutOff, Bomb, Active, Resident, Malware, Full, Late, InQuarantine,
	NotRedacted,
}

// RefusedError means that a document was not taken. Nothing of it is kept.
type RefusedError struct {
	Code Code
	What string
	Err  error
}

func (r *RefusedError) Error() string { return "the document is refused: " + r.What }

func (r *RefusedError) Unwrap() error { return r.Err }

// The types that are taken, by what their names end with. They are what phones and scanners make, and spreadsheets of sales.
const (
	PDF  = "application/pdf"
	JPEG = "image/jpeg"
	PNG  = "image/png"
	HEIC = "image/heic"
	XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)

var endings = map[string]string{
	".pdf": PDF, ".jpg": JPEG, ".jpeg": JPEG, ".png": PNG, ".heic": HEIC, ".heif": HEIC, ".xlsx": XLSX,
}

// Ending is what the name of a file of a type ends with.
func Ending(kind string) string {
	for _, ending := range []string{".pdf", ".jpg", ".png", ".heic", ".xlsx"} {
		if endings[ending] == kind {
			return ending
		}
	}
	return ".bin"
}

// Accept is what a page's field for files says.
const Accept = ".pdf,.jpg,.jpeg,.png,.heic,.heif,.xlsx"

const (
	mostPixels  = 100_000_000 // of an image: phones have up to 50 million, and one takes 400 MB of memory
	mostInside  = 32 << 20    // bytes of a workbook, unpacked
	mostEntries = 2000        // files in a workbook
)

// Inspect returns the type of a document by what is in it, whatever its name says, or a RefusedError.
func Inspect(name string, data []byte) (string, error) {
	refuse := func(c Code, format string, args ...any) (string, error) {
		return "", &RefusedError{Code: c, What: fmt.Sprintf(format, args...)}
	}
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	switch {
	case resident.In(name, true):
		return refuse(Resident, "its name holds what looks like a resident registration number: give it another name")
	case len(data) == 0:
		return refuse(Empty, "it is empty")
	case len(data) > MaxFile:
		return refuse(TooBig, "it is larger than %d MiB", MaxFile>>20)
	}
	kind := sniff(data)
	if kind == "" {
		return refuse(UnknownType, "it is no PDF, photograph (JPEG, PNG, HEIC) or workbook (XLSX), whatever its name says")
	}
	if says, known := endings[strings.ToLower(path.Ext(name))]; !known && path.Ext(name) != "" || known && says != kind {
		return refuse(LyingType, "its name ends with %.10q, and in it is %s", path.Ext(name), kind)
	}
	var err error
	switch kind {
	case PDF:
		if !bytes.Contains(data[max(0, len(data)-4096):], []byte("%%EOF")) {
			err = &RefusedError{Code: CutOff, What: "its end is missing"}
		}
	case JPEG:
		err = inspectJPEG(data)
	case PNG:
		err = inspectPNG(data)
	case HEIC:
		err = inspectHEIC(data)
	case XLSX:
		err = inspectXLSX(data)
	}
	if err != nil {
		return "", err
	}
	return kind, nil
}

func sniff(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("%PDF-")):
		return PDF
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return JPEG
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return PNG
	case len(data) > 12 && string(data[4:8]) == "ftyp" &&
		slices.Contains([]string{"heic", "heix", "heim", "heis", "hevc", "mif1", "msf1"}, string(data[8:12])):
		return HEIC
	case bytes.HasPrefix(data, []byte("PK\x03\x04")) && bytes.Contains(data, []byte("xl/workbook.xml")):
		return XLSX
	default:
		return ""
	}
}

var errCut = &RefusedError{Code: CutOff, What: "its end is missing: it did not come whole, or is broken"}

func pixels(width, height uint64) error {
	if width == 0 || height == 0 || width*height > mostPixels {
		return &RefusedError{Code: Bomb, What: fmt.Sprintf("it has %d × %d pixels, %d at most", width, height, mostPixels)}
	}
	return nil
}

// inspectJPEG walks the segments up to the image, and looks for its end.
func inspectJPEG(data []byte) error {
	seen := false
	for at := 2; at+4 <= len(data); {
		if data[at] != 0xff {
			return errCut
		}
		marker := data[at+1]
		if marker == 0xff { // fill
			at++
			continue
		}
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		if size < 2 || at+2+size > len(data) {
			return errCut
		}
		if marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc && size >= 7 {
			height, width := binary.BigEndian.Uint16(data[at+5:]), binary.BigEndian.Uint16(data[at+7:])
			if err := pixels(uint64(width), uint64(height)); err != nil {
				return err
			}
			seen = true
		}
		at += 2 + size
		if marker == 0xda {
			if !seen || !bytes.Contains(data[at:], []byte("\xff\xd9")) {
				return errCut
			}
			return nil
		}
	}
	return errCut
}

func inspectPNG(data []byte) error {
	for at := 8; at+12 <= len(data); {
		size := uint64(binary.BigEndian.Uint32(data[at:]))
		name := string(data[at+4 : at+8])
		if uint64(at)+12+size > uint64(len(data)) {
			return errCut
		}
		switch {
		case at == 8 && (name != "IHDR" || size < 8):
			return errCut
		case at == 8:
			width, height := binary.BigEndian.Uint32(data[at+8:]), binary.BigEndian.Uint32(data[at+12:])
			if err := pixels(uint64(width), uint64(height)); err != nil {
				return err
			}
		case name == "IEND":
			return nil
		}
		at += 12 + int(size)
	}
	return errCut
}

// heicSize begins the property that says how large an image is, of which a file has several: a picture and its parts.
var heicSize = []byte("\x00\x00\x00\x14ispe\x00\x00\x00\x00")

// inspectHEIC walks the boxes, which must end where the file does, and looks how large its images are.
func inspectHEIC(data []byte) error {
	for rest := data; ; {
		at := bytes.Index(rest, heicSize)
		if at < 0 || at+len(heicSize)+8 > len(rest) {
			break
		}
		rest = rest[at+len(heicSize):]
		width, height := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
		if err := pixels(uint64(width), uint64(height)); err != nil {
			return err
		}
	}
	for at := uint64(0); at < uint64(len(data)); {
		if at+8 > uint64(len(data)) {
			return errCut
		}
		size := uint64(binary.BigEndian.Uint32(data[at:]))
		switch size {
		case 0: // up to the end
			return nil
		case 1:
			if at+16 > uint64(len(data)) {
				return errCut
			}
			size = binary.BigEndian.Uint64(data[at+8:])
		}
		if size < 8 || size > uint64(len(data))-at {
			return errCut
		}
		at += size
	}
	return nil
}

// inspectXLSX unpacks a workbook to nowhere: what an archive says of its own size need not be true.
func inspectXLSX(data []byte) error {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return errCut
	}
	if len(archive.File) > mostEntries {
		return &RefusedError{Code: Bomb, What: fmt.Sprintf("it has %d files in it, %d at most", len(archive.File), mostEntries)}
	}
	workbook := false
	left := int64(mostInside)
	for _, f := range archive.File {
		name := strings.ToLower(f.Name)
		workbook = workbook || name == "xl/workbook.xml"
		if strings.HasSuffix(name, ".bin") && strings.Contains(name, "vba") || strings.Contains(name, "activex") {
			return &RefusedError{Code: Active, What: "it has a program in it (a macro): save it without"}
		}
		n, err := unpacked(f, left+1)
		if err != nil {
			return errCut
		}
		if left -= n; left < 0 {
			return &RefusedError{Code: Bomb, What: fmt.Sprintf("unpacked it has more than %d MiB", mostInside>>20)}
		}
	}
	if !workbook {
		return &RefusedError{Code: UnknownType, What: "it is an archive, and no workbook"}
	}
	return nil
}

func unpacked(f *zip.File, most int64) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, io.LimitReader(r, most))
}
