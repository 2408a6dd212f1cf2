package desk

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func sum(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }

// upper is the same with digits as other tools write them.
func upper(sum string) string { return "sha256:" + strings.ToUpper(strings.TrimPrefix(sum, "sha256:")) }

// shows is a request with an Authorization header and a certificate, each unless it is empty.
func shows(authorization, commonName string) *http.Request {
	r := &http.Request{Header: http.Header{}, TLS: &tls.ConnectionState{}}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if commonName != "" {
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: commonName}}
		r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf}}
	}
	return r
}

func TestWhoShowsWhat(t *testing.T) {
	a, err := ParseAccess("# night shift\r\n\n" +
		"minji operator " + sum("one") + "  # until Sunday\r\n" +
		"\t김서연   support  " + upper(sum("two")) + "\n" +
		"jihoon viewer cert:Ji-hoon Park")
	require.NoError(t, err)
	minji, seoyeon, jihoon := Principal{Name: "minji", Role: RoleOperator}, Principal{Name: "김서연", Role: RoleSupport},
		Principal{Name: "jihoon", Role: RoleViewer}
	for _, c := range []struct {
		authorization, certificate string
		who                        Principal
		why                        kind
	}{
		{"Bearer one", "", minji, ""},
		{"bearer two", "", seoyeon, ""},
		{"", "Ji-hoon Park", jihoon, ""},
		{"Bearer one", "Ji-hoon Park", minji, ""},
		{"Bearer three", "Ji-hoon Park", anonymous, kindToken},
		{"Bearer " + sum("one"), "", anonymous, kindToken},
		{"Bearer one ", "", anonymous, kindToken},
		{"Bearer ", "", anonymous, kindNoToken},
		{"Basic one", "", anonymous, kindNoToken},
		{"one", "", anonymous, kindNoToken},
		{"", "ji-hoon park", anonymous, kindCertificate},
		{"", "", anonymous, kindNoToken},
	} {
		who, why := a.identify(shows(c.authorization, c.certificate))
		require.Equal(t, c.who, who, "%+v", c)
		require.Equal(t, c.why, why, "%+v", c)
	}
	who, why := a.identify(&http.Request{Header: http.Header{}}) // without TLS
	require.Equal(t, anonymous, who)
	require.Equal(t, kindNoToken, why)
}

func TestEveryMistakeInTheAccessFileIsNamedWithItsLine(t *testing.T) {
	good := "minji operator " + sum("one") + "\n"
	for _, c := range []struct{ text, want string }{
		{good + "jihoon", "line 2: want NAME ROLE"},
		{good + "jihoon viewer", "line 2: want NAME ROLE"},
		{good + "jihoon viewer # sha256:", "line 2: want NAME ROLE"},
		{good + "jihoon admin " + sum("two"), "line 2: the second field"},
		{good + "jihoon Viewer " + sum("two"), "line 2: the second field"},
		{good + "jihoon viewer " + sum("two")[:70], "line 2: sha256:"},
		{good + "jihoon viewer " + sum("two") + "00", "line 2: sha256:"},
		{good + "jihoon viewer " + sum("two") + " x", "line 2: sha256:"},
		{good + "jihoon viewer sha256:" + strings.Repeat("x", 64), "line 2: sha256:"},
		{good + "jihoon viewer cert:", "line 2: cert:"},
		{good + "jihoon viewer cert:\xff", "line 2: cert:"},
		{good + "jihoon viewer md5:00", "line 2: the third field"},
		{good + "jihoon viewer,admin " + sum("two"), "line 2: the second field"},
		{good + "jihoon viewer campaigns:a", "line 2: want NAME ROLE"},
		{good + "jihoon viewer campaigns: " + sum("two"), "line 2: campaigns: want names"},
		{good + "jihoon viewer campaigns:a,B " + sum("two"), "line 2: campaigns: want names"},
		{good + "jihoon viewer campaigns:a campaigns:b " + sum("two"), "line 2: the third field"},
		{good + "jihoon viewer " + sum("two") + " campaigns:a", "line 2: sha256:"},
		{good + "\n" + good, `line 3: "minji" is in line 1 already`},
		{good + "jihoon viewer " + upper(sum("one")), "line 2: its token or certificate is that of line 1"},
		{"a viewer cert:x\nb viewer cert:x", "line 2: its token or certificate is that of line 1"},
		{"Anonymous viewer " + sum("two"), "line 1: name"},
		{"\ufeff" + good, "line 1: name"},
		{"a\x00b viewer " + sum("two"), "line 1: name"},
		{strings.Repeat("x", 65) + " viewer " + sum("two"), "line 1: name"},
		{"\xff viewer " + sum("two"), "line 1: name"},
	} {
		_, err := ParseAccess(c.text)
		require.ErrorContains(t, err, c.want, "%q", c.text)
	}

	_, err := ParseAccess("a admin sha256:1\n" + good + "minji x y\n")
	require.Len(t, strings.Split(err.Error(), "\n"), 5, "%s", err)
	for _, want := range []string{"line 1: the second field", "sha256: want", "line 3: the second field", "the third field",
		`line 3: "minji" is in line 2`} {
		require.ErrorContains(t, err, want)
	}
}

func TestAnAccessFileMayNameNobody(t *testing.T) {
	for _, text := range []string{"", "# nobody\n\n"} {
		a, err := ParseAccess(text)
		require.NoError(t, err)
		require.True(t, a.empty())
		who, why := a.identify(shows("Bearer one", ""))
		require.Equal(t, anonymous, who)
		require.Equal(t, kindToken, why)
	}
}

// Whoever puts a token where it does not belong should not find it in the log as well.
func TestNoErrorRepeatsAToken(t *testing.T) {
	token, line, err := NewToken("minji", RoleViewer)
	require.NoError(t, err)
	for _, text := range []string{
		"minji viewer " + token, "minji viewer sha256:" + token, "minji " + token + " viewer", token + " viewer x:y",
		"minji " + token,
		token, "minji viewer " + token + ":", line + " " + token, "minji viewer campaigns:" + token + " " + sum("x"),
	} {
		_, err := ParseAccess(text)
		require.Error(t, err)
		require.NotContains(t, err.Error(), token)
	}
}

func TestATokenIsLetInByItsLine(t *testing.T) {
	one, first, err := NewToken("minji", RoleOperator)
	require.NoError(t, err)
	two, second, err := NewToken("jihoon", RoleViewer)
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	require.Regexp(t, `^granter_[A-Za-z0-9_-]{43}$`, one) // 32 bytes
	require.NotContains(t, first, one)
	a, err := ParseAccess(first + "\n" + second)
	require.NoError(t, err)
	who, why := a.identify(shows("Bearer "+two, ""))
	require.Empty(t, why)
	require.Equal(t, Principal{Name: "jihoon", Role: RoleViewer}, who)

	_, _, err = NewToken("two words", RoleViewer)
	require.Error(t, err)
	_, _, err = NewToken("minji", "admin")
	require.ErrorContains(t, err, "want viewer, support, operator, service or auditor")
}

// Lines written for granter before rights were a set mean the same.
func TestARoleIsASetOfRights(t *testing.T) {
	for text, want := range map[Role][]Right{
		"viewer":                 {RightStatus, RightHistory},
		"support":                {RightStatus, RightHistory, RightUsers, RightCheck, RightReceipt, RightNote},
		"service":                {RightCheck},
		"operator":               campaignRights(),
		"viewer,pause,resume":    {RightStatus, RightHistory, "pause", "resume"},
		"users":                  {RightUsers},
		"take":                   {RightTake},
		"resume,pause,pause":     {"pause", "resume"},
		"status,pause,viewer":    {RightStatus, RightHistory, "pause"},
		"operator,viewer,status": campaignRights(),
		"":                       {},
	} {
		require.Equal(t, want, text.rights(), text)
		for _, right := range Rights() {
			require.Equal(t, slices.Contains(want, right), text.may(right), "%s, %s", text, right)
		}
		if text != "" {
			_, err := ParseRole(string(text))
			require.NoError(t, err)
		}
	}
	require.Empty(t, anonymous.Role.rights())
	for _, text := range []string{"", ",", "viewer,", ",viewer", "viewer pause", "viewer, pause", "admin", "Viewer",
		"start-early", "viewer,force"} {
		_, err := ParseRole(text)
		require.Error(t, err, text)
	}
}

func TestALineMayBeForSomeCampaigns(t *testing.T) {
	token, line, err := NewToken("minji", "viewer,pause", "sorry-2022", "spring")
	require.NoError(t, err)
	require.Regexp(t, "^minji viewer,pause campaigns:sorry-2022,spring sha256:[0-9a-f]{64}$", line)
	a, err := ParseAccess(line + "\njihoon viewer campaigns:sorry-2022 cert:Ji-hoon Park\n")
	require.NoError(t, err)
	minji, _ := a.identify(shows("Bearer "+token, ""))
	jihoon, _ := a.identify(shows("", "Ji-hoon Park"))
	for name, want := range map[string][2]bool{
		"sorry-2022": {true, true}, "spring": {true, false}, "sorry": {false, false}, "sorry-2022,spring": {false, false},
		"": {false, false},
	} {
		require.Equal(t, want, [2]bool{minji.in(name), jihoon.in(name)}, name)
	}
	require.True(t, anonymous.in("whatever"), "but it may nothing there")
	_, _, err = NewToken("minji", RoleViewer, "Sorry 2022")
	require.ErrorContains(t, err, "want names of campaigns")
}

func FuzzParseAccess(f *testing.F) {
	f.Add("minji operator " + sum("one") + " # night\njihoon viewer cert:Ji-hoon Park\n")
	f.Add("# nobody")
	f.Add("minji viewer,pause campaigns:a,b-2 " + sum("one"))
	f.Add("a viewer sha256:00\r\nb x cert:")
	f.Add("\x00\xff viewer cert: \u00a0#\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAccess(text)
		if err != nil {
			require.Nil(t, a)
			for line := range strings.SplitSeq(err.Error(), "\n") {
				require.NotEmpty(t, line)
			}
			return
		}
		// What was read can be written so that it is read the same.
		var lines []string
		names := map[string]bool{anonymous.Name: true}
		write := func(who Principal, credential string) {
			require.False(t, names[who.Name], "%q twice", who.Name)
			names[who.Name] = true
			require.NotEmpty(t, who.Role.rights())
			scope := ""
			if who.only != "" {
				scope = scopePrefix + who.only + " "
			}
			lines = append(lines, who.Name+" "+string(who.Role)+" "+scope+credential)
		}
		for sum, who := range a.tokens {
			write(who, fmt.Sprintf("sha256:%x", sum))
		}
		for name, who := range a.certificates {
			require.NotEmpty(t, name)
			write(who, "cert:"+name)
		}
		require.Equal(t, a.empty(), len(lines) == 0)
		again, err := ParseAccess(strings.Join(lines, "\n"))
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}
