package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/programme"
	"github.com/granter/granter/grant/strict"
)

// importFlags are the settings of granter claims import.
type importFlags struct {
	claimsFlags
	programme, channel, back, who string
}

func newClaimsImport() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FILE --programme PROGRAMME",
		Short: "Take in the claims of a CSV or XLSX file",
		Long: `FILE is a CSV file (UTF-8, or CP949 as Korean spreadsheets write it) or a workbook (.xlsx) whose first row names
the columns, in English or Korean; docs/claims.md lists them. Each row is taken in, or refused, by itself. The file comes
back, by default as FILE with .result before its ending, with two columns more: the claim that the row became, and what is
wrong with it. Mended there, it can be imported again: rows that were taken are there already, and are not taken twice. The
result as a whole is SUCCESS, PARTIAL or FAILED.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return flags.execute(cmd, args[0]) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.programme, "programme", "", "claims programme, a YAML file; without it the one that the database has")
	f.StringVar(&flags.channel, "channel", "file", "how the claims came: file, phone, post, chat …")
	f.StringVar(&flags.back, "result", "", "where the file with the results goes, .csv or .xlsx")
	f.StringVar(&flags.who, "who", "", whoHelp)
	return cmd
}

func (flags *importFlags) execute(cmd *cobra.Command, path string) error {
	who, write, err := flags.prepare(path)
	if err != nil {
		return err
	}
	sheet, err := readSheet(path)
	if err != nil {
		return usageError(err)
	}
	return flags.within(cmd, true, func(ctx context.Context, s *store.Store) error {
		p, err := flags.adopt(ctx, s)
		if err != nil {
			return err
		}
		desk := intake.Desk{Store: s, Programme: p}
		got, err := desk.Import(ctx, sheet, intake.Channel{Name: flags.channel, By: store.Actor{Name: who, Duty: claims.Intake}})
		if errors.Is(err, intake.ErrFile) {
			return usageError(fmt.Errorf("%s: %w", path, err))
		}
		if err != nil {
			return fmt.Errorf("%w (what was taken before stays: import the file again to go on)", err)
		}
		if err := write(got.Sheet); err != nil {
			return err
		}
		return flags.say(cmd, got)
	})
}

// prepare says who imports a file, and what writes the file with the results.
func (flags *importFlags) prepare(path string) (who string, write func([][]string) error, err error) {
	if who, err = whoami(flags.who); err != nil {
		return "", nil, err
	}
	if flags.back == "" {
		ending := filepath.Ext(path)
		flags.back = strings.TrimSuffix(path, ending) + ".result" + ending
	}
	for _, name := range []string{filepath.Base(path), filepath.Base(flags.back)} { // a file of that name would be made
		if err := resident.Refuse("the file's name", name, true); err != nil {
			return "", nil, usageError(err)
		}
	}
	write, err = sheetWriter(flags.back)
	return who, write, err
}

func (flags *importFlags) say(cmd *cobra.Command, got *intake.Imported) error {
	if flags.json {
		if err := printJSON(cmd.OutOrStdout(), struct {
			*intake.Imported
			Result string `json:"result"`
		}{got, flags.back}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: of %d rows %d were taken in, %d were there already, %d are wrong: see %s\n",
			got.Status, got.Rows, got.Taken, got.Again, got.Wrong, flags.back)
	}
	if got.Wrong > 0 {
		return fmt.Errorf("%d of %d rows were not taken in: mend them in %s, and import that", got.Wrong, got.Rows, flags.back)
	}
	return nil
}

// adopt returns the programme that claims are taken in under.
func (flags *importFlags) adopt(ctx context.Context, s *store.Store) (*claims.Programme, error) {
	if flags.programme == "" {
		p, err := s.Programme(ctx, "")
		if err != nil {
			return nil, usageError(err)
		}
		return p, nil
	}
	source, err := strict.ReadFile(flags.programme, programme.MaxSize)
	if err != nil {
		return nil, usageError(fmt.Errorf("reading the claims programme: %w", err))
	}
	if _, err := loadProgramme(flags.programme); err != nil { // whose errors name the file
		return nil, err
	}
	return s.Adopt(ctx, source)
}

func readSheet(path string) ([][]string, error) {
	data, err := strict.ReadFile(path, intake.MaxFile)
	if err != nil {
		return nil, err
	}
	return parseSheet(path, data)
}

// parseSheet reads a file as what it is, whatever its name says.
func parseSheet(path string, data []byte) ([][]string, error) {
	if len(data) > intake.MaxFile {
		return nil, fmt.Errorf("%s: it is larger than %d MiB: import it in parts", path, intake.MaxFile>>20)
	}
	read := intake.ReadCSV
	if bytes.HasPrefix(data, []byte("PK\x03\x04")) { // a workbook is an archive
		read = intake.ReadXLSX
	}
	sheet, err := read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sheet, nil
}

// sheetWriter returns what writes a sheet to a file.
func sheetWriter(path string) (func([][]string) error, error) {
	write := intake.WriteCSV
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
	case ".xlsx":
		write = intake.WriteXLSX
	default:
		return nil, usageError(fmt.Errorf("%s: the file with the results is .csv or .xlsx: name it by --result", path))
	}
	return func(sheet [][]string) error {
		var out bytes.Buffer
		if err := write(&out, sheet); err != nil {
			return err
		}
		return os.WriteFile(path, out.Bytes(), 0o600) // it holds personal data
	}, nil
}
