package desk

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"time"

	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/lookup"
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
	kind        string
	in          map[lookup.Lang]version // what is the same in all languages is there once, as English
}

// version is an asset in one language.
type version struct {
	content []byte
	etag    string
}

// assets are the pages, their files, and the API's document.
func assets() []*asset {
	all := []*asset{
		newAsset("/api/openapi.yaml", "/api/openapi.yaml", types[".yaml"], document),
		newAsset("/shared.js", "/", types[".js"], shared()),
		newPage("/{$}", "/", "index.html", ""),
		newPage("/campaigns/{campaign}/{$}", "/campaigns/{campaign}/", "campaign.html", "../../"),
	}
	// Reading what is embedded does not fail.
	_ = fs.WalkDir(page, "page", func(name string, d fs.DirEntry, err error) error {
		kind := types[path.Ext(name)]
		if err != nil || d.IsDir() || kind == "" || kind == types[".html"] {
			return err
		}
		content, err := page.ReadFile(name)
		all = append(all, newAsset(name[len("page"):], "/", kind, content))
		return err
	})
	return all
}

func newAsset(at, route, kind string, content []byte) *asset {
	return &asset{at, route, kind, map[lookup.Lang]version{lookup.English: newVersion(content)}}
}

func newVersion(content []byte) version {
	sum := sha256.Sum256(content)
	return version{content, fmt.Sprintf(`"%x"`, sum[:8])}
}

// newPage is a page in each language. Root is where the desk begins, from the page on.
func newPage(at, route, file, root string) *asset {
	f := &asset{at, route, types[".html"], map[lookup.Lang]version{}}
	for _, l := range lookup.Langs() {
		f.in[l] = newVersion(written(file, root, l))
	}
	return f
}

// What HTML is written with: {{part.html}} is another file, {{root}} where the desk begins, {{English|Korean}} words. All of it
// is ours, so nothing is escaped.
var (
	partOf  = regexp.MustCompile(`\{\{([a-z-]+\.html)\}\}`)
	wordsOf = regexp.MustCompile(`\{\{([^{}|]*)\|([^{}|]*)\}\}`)
)

// written is a file of HTML in one language.
func written(file, root string, l lookup.Lang) []byte {
	text, _ := page.ReadFile("page/" + file) // of what is not there, nothing
	text = partOf.ReplaceAllFunc(text, func(name []byte) []byte {
		return written(string(partOf.FindSubmatch(name)[1]), root, l)
	})
	choice := []byte("$1")
	if l == lookup.Korean {
		choice = []byte("$2")
	}
	return wordsOf.ReplaceAll(bytes.ReplaceAll(text, []byte("{{root}}"), []byte(root)), choice)
}

// shared is a script with the words that the pages of operations say as the desk's other pages do.
func shared() []byte {
	problems, _ := json.Marshal(searchpage.Problems()) //nolint:errchkjson // texts
	reasons, _ := json.Marshal(searchpage.Reasons())   //nolint:errchkjson // texts
	return fmt.Appendf(nil, "// Made of grant/desk/searchpage: problems in Korean, reasons of rejects in both languages.\n\n"+
		"export const problems = %s;\n\nexport const reasons = %s;\n", problems, reasons)
}

// ServeHTTP lets browsers keep the file, and ask each time whether it is still the same: a new version counts at once.
func (f *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	v := f.in[lookup.English]
	if len(f.in) > 1 {
		l := langOf(r, "")
		v = f.in[l]
		h.Set("Content-Language", string(l))
		h.Set("Vary", "Accept-Language, Cookie")
	}
	h.Set("Content-Type", f.kind)
	h.Set("ETag", v.etag)
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.content))
}

// inLanguage keeps the language that somebody chose on a page, and leads back there. It is asked for where the desk begins, so
// that the choice is for all of its pages, whatever a proxy put in front of their paths.
func inLanguage(begin http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lang := r.URL.Query().Get(searchpage.FieldLang)
		if !isLang(lang) {
			begin.ServeHTTP(w, r)
			return
		}
		keep(w, r, langCookie, lang)
		next := r.URL.Query().Get(searchpage.FieldNext)
		if next != "?all" {
			next = backAnywhere(next)
		}
		w.Header().Set("Location", "./"+next)
		w.WriteHeader(http.StatusSeeOther)
	})
}

// Pages serves the pages of operations and their files, without an API.
func Pages() http.Handler {
	mux := http.NewServeMux()
	for _, f := range assets() {
		mux.Handle("GET "+f.path, f.handler())
	}
	return mux
}

func (f *asset) handler() http.Handler {
	if f.path == "/{$}" {
		return inLanguage(f)
	}
	return f
}
