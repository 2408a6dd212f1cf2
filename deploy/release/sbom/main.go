// Command sbom prints what a Go binary is made of, as CycloneDX: every module that is linked into it, with its version and
// its hash, read from the binary itself. The same binary always gives the same text.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("want sbom BINARY VERSION; SOURCE_DATE_EPOCH is its time")
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: want seconds since 1970: %w", err)
	}
	binary, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("%s is no Go binary: %w", args[0], err)
	}
	bom, err := describe(info, args[1], time.Unix(epoch, 0).UTC())
	if err != nil {
		return err
	}
	bom.Metadata.Component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(binary))}}
	return cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

func describe(info *debug.BuildInfo, version string, at time.Time) (*cdx.BOM, error) {
	product := module(cdx.ComponentTypeApplication, info.Main.Path, version)
	settings := make([]cdx.Property, 0, len(info.Settings))
	for _, s := range info.Settings {
		settings = append(settings, cdx.Property{Name: "go:build:" + s.Key, Value: s.Value})
	}
	product.Properties = &settings

	// The standard library has no hash: it comes with the compiler.
	parts := []cdx.Component{module(cdx.ComponentTypeLibrary, "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		for m.Replace != nil {
			m = m.Replace
		}
		// go.sum's "h1:" is the SHA-256 of the list of the module's files and their hashes, in base64.
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("%s %s: its hash is %q, want h1: and a SHA-256; is it replaced by a folder?", m.Path, m.Version, m.Sum)
		}
		part := module(cdx.ComponentTypeLibrary, m.Path, m.Version)
		part.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sum)}}
		parts = append(parts, part)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: at.Format(time.RFC3339), Component: &product}
	bom.Components = &parts
	return bom, nil
}

func module(kind cdx.ComponentType, path, version string) cdx.Component {
	url := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{Type: kind, BOMRef: url, Name: path, Version: version, PackageURL: url}
}
