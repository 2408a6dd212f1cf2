package desk

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk/signon"
)

// Principal is somebody who has shown a credential.
type Principal struct {
	Name string `json:"name"`
	Role Role   `json:"role"`

	only     string // the campaigns that it is for, with commas between; empty: all
	signedOn bool   // by the OpenID provider
}

// shown is the name on a page. Behind that of somebody whom the provider knows is who that is for good, which is for trails and
// logs.
func (who Principal) shown() string {
	if !who.signedOn {
		return who.Name
	}
	name, _, _ := strings.Cut(who.Name, " (")
	return name
}

// in reports whether a principal may do anything in a campaign.
func (who Principal) in(campaign string) bool {
	return who.only == "" || slices.Contains(strings.Split(who.only, ","), campaign)
}

// anonymous is who has shown none that is known.
var anonymous = Principal{Name: "anonymous"}

// Access says who may do what. It is immutable. Its text has one line for each principal:
//
//	# anything
//	NAME ROLE sha256:HEX                    who has the token with this SHA-256
//	NAME ROLE cert:COMMON NAME              who has a client certificate with this subject
//	NAME ROLE claim:CLAIM=VALUE             whoever the OpenID provider says this claim of
//	NAME ROLE campaigns:NAME,… sha256:HEX   the same, for these campaigns only
//	oidc.SETTING VALUE                      the OpenID provider; see settings
//
// It holds no secret, so anybody may read the file: a token has 256 random bits, and nobody finds it from its hash. Who
// may write it decides who may do what.
type Access struct {
	tokens       map[[sha256.Size]byte]Principal // by the hash
	certificates map[string]Principal            // by common name
	claims       []claimLine                     // in the order of the file: the first that fits somebody counts
	provider     *signon.Client                  // nil: nobody signs in by one
}

const (
	maxName     = 64         // characters
	tokenPrefix = "granter_" // so that scanners for leaked secrets find tokens
	scopePrefix = "campaigns:"
)

// ParseAccess reads the text of an Access, which may name nobody. Its error joins everything that is wrong, each with its line.
// Paths in it count from a folder.
func ParseAccess(text string) (*Access, error) { return parseAccess(text, "") }

func parseAccess(text, folder string) (*Access, error) {
	a := &Access{tokens: map[[sha256.Size]byte]Principal{}, certificates: map[string]Principal{}}
	names, credentials, provider := map[string]int{}, map[string]int{}, settings{folder: folder}
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		wrong := func(err error) { errs = append(errs, fmt.Errorf("line %d: %w", number, err)) }
		if name, value, is := setting(line); is {
			if err := provider.set(name, value, number); err != nil {
				wrong(err)
			}
			continue
		}
		who, credential, err := parseLine(line)
		if err != nil {
			wrong(err)
		}
		if who == nil {
			continue
		}
		if first, ok := names[who.Name]; ok {
			wrong(fmt.Errorf("%q is in line %d already", who.Name, first))
		} else {
			names[who.Name] = number
		}
		if credential == "" {
			continue
		}
		if first, ok := credentials[credential]; ok {
			wrong(fmt.Errorf("its token or certificate is that of line %d", first))
			continue
		}
		credentials[credential] = number
		a.add(*who, credential)
	}
	var err error
	if a.provider, err = provider.client(a.claims); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return a, nil
}

// parseLine reads one line. Who is nil when there is none in it, the credential empty when it is wrong; otherwise it is
// in the one form that compares equal.
func parseLine(line string) (who *Principal, credential string, err error) {
	fields := strings.Fields(line)
	for i, field := range fields {
		if strings.HasPrefix(field, "#") {
			fields = fields[:i]
			break
		}
	}
	if len(fields) == 0 {
		return nil, "", nil
	}
	var scopeErr error
	only := ""
	if len(fields) > 2 && strings.HasPrefix(fields[2], scopePrefix) {
		only, scopeErr = parseScope(fields[2])
		fields = slices.Delete(fields, 2, 3)
	}
	if len(fields) < 3 {
		return nil, "", errors.New("want NAME ROLE sha256:HEX, NAME ROLE cert:COMMON-NAME, or NAME ROLE claim:CLAIM=VALUE")
	}
	kind, value, _ := strings.Cut(strings.Join(fields[2:], " "), ":")
	role, roleErr := ParseRole(fields[1])
	if kind == "claim" && fields[1] == string(roleNone) {
		role, roleErr = roleNone, nil
	}
	if roleErr != nil {
		// What it is may be a secret.
		roleErr = errors.New(
			"the second field wants to be viewer, support, operator, service or auditor, or rights with commas between",
		)
	}
	switch kind {
	case "sha256":
		if sum, hexErr := hex.DecodeString(value); hexErr != nil || len(sum) != sha256.Size {
			err = errors.New("sha256: want the 64 hexadecimal digits of the token's SHA-256")
		}
		credential = "sha256:" + strings.ToLower(value)
	case "cert":
		if value == "" || !utf8.ValidString(value) {
			err = errors.New("cert: want the common name of a client certificate")
		}
		credential = "cert:" + value
	case "claim":
		if name, is, ok := strings.Cut(value, "="); !ok || name == "" || is == "" || !utf8.ValidString(value) {
			err = errors.New("claim: want CLAIM=VALUE, such as claim:groups=support")
		}
		credential = "claim:" + value
	default:
		err = errors.New("the third field wants to be sha256:HEX, cert:COMMON-NAME or claim:CLAIM=VALUE, or campaigns:NAME,… " +
			"with one of those behind it; " +
			"a token itself does not belong here")
	}
	if err = errors.Join(checkName(fields[0]), roleErr, scopeErr, err); err != nil {
		credential = ""
	}
	return &Principal{Name: fields[0], Role: role, only: only}, credential, err
}

// parseScope reads the campaigns that a line is for.
func parseScope(field string) (only string, err error) {
	only = strings.TrimPrefix(field, scopePrefix)
	for name := range strings.SplitSeq(only, ",") {
		if !campaign.ValidName(name) {
			return "", errors.New("campaigns: want names of campaigns with commas between, and no spaces")
		}
	}
	return only, nil
}

func checkName(name string) error {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	switch {
	case strings.HasPrefix(name, tokenPrefix):
		return errors.New("the name is a token: destroy the token, and write NAME ROLE sha256:HEX") // and do not repeat it
	case name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, odd) || strings.HasPrefix(name, "#"):
		return fmt.Errorf("name %q: want printable characters without spaces, and no # in front", name)
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("name %q: want at most %d characters", name, maxName)
	case strings.EqualFold(name, anonymous.Name):
		return fmt.Errorf("name %q: the audit trail uses it for those who show no token", name)
	}
	return nil
}

func (a *Access) add(who Principal, credential string) {
	if name, ok := strings.CutPrefix(credential, "cert:"); ok {
		a.certificates[name] = who
		return
	}
	if text, ok := strings.CutPrefix(credential, "claim:"); ok {
		claim, value, _ := strings.Cut(text, "=")
		a.claims = append(a.claims, claimLine{who, claim, value})
		return
	}
	var sum [sha256.Size]byte
	// parseLine has seen that these are as many digits as fit.
	_, _ = hex.Decode(sum[:], []byte(strings.TrimPrefix(credential, "sha256:")))
	a.tokens[sum] = who
}

// empty reports whether nobody is let in.
func (a *Access) empty() bool {
	return len(a.tokens) == 0 && len(a.certificates) == 0 && len(a.claims) == 0
}

// identify returns who sent a request or, for nobody that is known, why. A token counts more than the session of
// somebody who signed in by the OpenID provider, and that more than a certificate.
func (a *Access) identify(r *http.Request) (Principal, kind) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			return anonymous, kindNoToken
		}
		if who, ok := a.byToken(token); ok {
			return who, ""
		}
		return anonymous, kindToken
	}
	if shown := session(r); shown != "" && a.provider != nil {
		if who, unknown := a.bySession(shown); unknown != kindSession || !certified(r) {
			return who, unknown
		}
	}
	if certified(r) {
		if who, ok := a.certificates[r.TLS.VerifiedChains[0][0].Subject.CommonName]; ok {
			return who, ""
		}
		return anonymous, kindCertificate
	}
	return anonymous, kindNoToken
}

// certified reports whether a client certificate came along that an authority signed.
func certified(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 }

// byToken looks a token up by its hash. How long that takes says something about the hash at most, and nobody finds a token by
// that.
func (a *Access) byToken(token string) (who Principal, ok bool) {
	who, ok = a.tokens[sha256.Sum256([]byte(token))]
	if !ok {
		return anonymous, false
	}
	return who, true
}

// NewToken makes a token, which only its holder may see, and the line of the access file that lets it in: into some
// campaigns or, without any, into all.
func NewToken(name string, role Role, campaigns ...string) (token, line string, err error) {
	if err := checkName(name); err != nil {
		return "", "", err
	}
	if _, err := ParseRole(string(role)); err != nil {
		return "", "", err
	}
	scope := ""
	if len(campaigns) > 0 {
		scope = scopePrefix + strings.Join(campaigns, ",") + " "
		if _, err := parseScope(strings.TrimSpace(scope)); err != nil {
			return "", "", err
		}
	}
	var secret [32]byte
	rand.Read(secret[:]) // it never returns an error (Go 1.24)
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	sum := sha256.Sum256([]byte(token))
	return token, fmt.Sprintf("%s %s %ssha256:%x", name, role, scope, sum), nil
}
