package desk

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed page
var page embed.FS

//go:embed openapi.yaml
var document []byte

// policy lets a page use what comes from here, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// types are the kinds of file that are served. The system's table of types differs from machine to machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	".ico":  "image/x-icon",
	".yaml": "application/yaml",
}

// asset is a file that holds no data of the campaign, so it needs no token.
type asset struct {
	path, route string // route is for metrics
	kind, etag  string
	content     []byte
}

// assets are the page's files, and the API's document.
func assets() []*asset {
	all := []*asset{newAsset("/api/openapi.yaml", "/api/openapi.yaml", document)}
	// Reading what is embedded does not fail.
	_ = fs.WalkDir(page, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || types[path.Ext(name)] == "" {
			return err
		}
		content, err := page.ReadFile(name)
		at, route := name[len("page"):], "/"
		switch at {
		case "/index.html":
			at = "/{$}"
		case "/campaign.html":
			at, route = "/campaigns/{campaign}/{$}", "/campaigns/{campaign}/"
		}
		all = append(all, newAsset(at, route, content))
		return err
	})
	return all
}

func newAsset(at, route string, content []byte) *asset {
	kind := types[path.Ext(at)]
	if strings.HasSuffix(at, "/{$}") {
		kind = types[".html"]
	}
	sum := sha256.Sum256(content)
	return &asset{path: at, route: route, kind: kind, etag: fmt.Sprintf(`"%x"`, sum[:8]), content: content}
}

// ServeHTTP lets browsers keep the file, and ask each time whether it is still the same: a new version counts at once.
func (f *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
