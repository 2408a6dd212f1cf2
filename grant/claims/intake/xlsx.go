package intake

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/thedatashed/xlsxreader"

	"github.com/granter/granter/grant/text"
)

// A workbook is an archive, which may hold a thousand times of what it weighs.
const (
	maxInflated = 4 * MaxFile
	maxParts    = 1000
	maxColumns  = 100
)

// ReadXLSX reads the first sheet of a workbook. Moments of cells that are formatted as such come as 2006-01-02T15:04:05,
// without a zone, because a workbook has none: whoever needs the moment refuses them.
func ReadXLSX(data []byte) ([][]string, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("%w: it is no workbook: %w", ErrFile, err)
	}
	inflated := uint64(0)
	for _, part := range archive.File {
		if inflated += part.UncompressedSize64; inflated > maxInflated || len(archive.File) > maxParts {
			return nil, fmt.Errorf("%w: the workbook inflates to more than %d MiB or has more than %d parts",
				ErrFile, maxInflated>>20, maxParts)
		}
	}
	for _, part := range archive.File { // the library takes rows before a damage for all that there are
		if err := whole(part); err != nil {
			return nil, fmt.Errorf("%w: the workbook is damaged, or was cut off: %s: %w", ErrFile, part.Name, err)
		}
	}
	book, err := xlsxreader.NewReaderZip(archive)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no workbook: %w", ErrFile, err)
	}
	if len(book.Sheets) == 0 {
		return nil, fmt.Errorf("%w: the workbook has no sheet", ErrFile)
	}
	var sheet [][]string
	var wrong error
	for row := range book.ReadRows(book.Sheets[0]) { // to its end, since a goroutine sends
		cells, err := cellsOf(&row)
		if wrong = errors.Join(wrong, err); wrong == nil {
			sheet = append(sheet, cells)
		}
	}
	if wrong != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, wrong)
	}
	return sheet, nil
}

// whole fails when a part is not all that it says it is, or is a sheet that is not written to its end.
func whole(part *zip.File) error {
	from, err := part.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	if !strings.HasPrefix(part.Name, "xl/worksheets/") {
		_, err := io.Copy(io.Discard, from) //nolint:gosec // what it inflates to is bounded, and more than it says is an error
		return err
	}
	for sheet := xml.NewDecoder(from); ; {
		switch _, err := sheet.Token(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func cellsOf(row *xlsxreader.Row) ([]string, error) {
	if row.Error != nil {
		return nil, row.Error
	}
	var cells []string
	for _, c := range row.Cells {
		at := c.ColumnIndex()
		if at < 0 || at >= maxColumns {
			return nil, fmt.Errorf("row %d has a cell in column %s: claims have fewer than %d columns", row.Index, c.Column,
				maxColumns)
		}
		for len(cells) <= at {
			cells = append(cells, "")
		}
		cells[at] = c.Value
		if c.Type == xlsxreader.TypeDateTime {
			cells[at] = strings.TrimSuffix(c.Value, "Z") // the library's, and not what the cell says
		}
	}
	return cells, nil
}

// bookParts are what a workbook of one sheet has, besides the sheet.
var bookParts = []struct{ name, text string }{
	{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
		`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
		`<Default Extension="xml" ContentType="application/xml"/>` +
		`<Override PartName="/xl/workbook.xml" ` +
		`ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` +
		`<Override PartName="/xl/worksheets/sheet1.xml" ` +
		`ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>` +
		`<Override PartName="/xl/styles.xml" ` +
		`ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>`},
	{"_rels/.rels",
		`<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" ` +
			`Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" ` +
			`Target="xl/workbook.xml"/></Relationships>`},
	{"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" ` +
		`xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` +
		`<sheets><sheet name="claims" sheetId="1" r:id="rId1"/></sheets></workbook>`},
	{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" ` +
		`Target="worksheets/sheet1.xml"/></Relationships>`},
	{"xl/styles.xml", `<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>`},
}

// WriteXLSX writes a workbook of one sheet. All cells are text, so none is a formula, and no number loses its zeros.
func WriteXLSX(w io.Writer, sheet [][]string) error {
	archive := zip.NewWriter(w)
	write := func(name, text string) error {
		part, err := archive.Create(name)
		if err == nil {
			_, err = io.WriteString(part, xml.Header+text)
		}
		return err
	}
	for _, p := range bookParts {
		if err := write(p.name, p.text); err != nil {
			return err
		}
	}
	var b strings.Builder
	b.WriteString(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`)
	for i, row := range sheet {
		fmt.Fprintf(&b, `<row r="%d">`, i+1)
		for c, cell := range row {
			fmt.Fprintf(&b, `<c r="%s%d" t="inlineStr"><is><t xml:space="preserve">`, letters(c), i+1)
			if err := xml.EscapeText(&b, []byte(text.Cell(cell))); err != nil {
				return err
			}
			b.WriteString(`</t></is></c>`)
		}
		b.WriteString(`</row>`)
	}
	b.WriteString(`</sheetData></worksheet>`)
	if err := write("xl/worksheets/sheet1.xml", b.String()); err != nil {
		return err
	}
	return archive.Close()
}

// letters is the name of a column: A, B, … Z, AA.
func letters(c int) string {
	if c < 26 {
		return string(rune('A' + c))
	}
	return letters(c/26-1) + string(rune('A'+c%26))
}
