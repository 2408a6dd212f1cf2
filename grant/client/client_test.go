package client

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/entitle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a desk that answers as a test says.
func serve(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL, Token: "granter_x", Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestACheck(t *testing.T) {
	at := time.Date(2023, 4, 4, 23, 59, 59, 0, time.FixedZone("", 9*3600))
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer granter_x" || r.URL.Query().Get("campaign") != "sorry-2022" ||
			r.URL.Query().Get("at") != "2023-04-04T23:59:59+09:00" || r.URL.Path != "/api/v1/entitlements/7/cheer-up" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, `{"user":"7","item":"cheer-up","active":true,"state":"active","campaign":"sorry-2022",`+
			`"basis":"ledger","more":1}`)
	})
	check, err := c.Check(t.Context(), grant.NumberID(7), "cheer-up", At(at), Of("sorry-2022"))
	require.NoError(t, err)
	require.Equal(t, Check{
		User: grant.NumberID(7), Item: "cheer-up", Active: true, State: "active", Campaign: "sorry-2022", Basis: "ledger",
	}, check)
}

// Users may be called anything, and none of them is another path.
func TestUsersWhoseIDsAreNoPlainPaths(t *testing.T) {
	asked := make(chan string, 1)
	desk := http.NewServeMux()
	desk.HandleFunc("GET /api/v1/entitlements/{user}/{item}", func(w http.ResponseWriter, r *http.Request) {
		asked <- r.PathValue("user")
		fmt.Fprint(w, `{"state":"none"}`)
	})
	c := serve(t, desk.ServeHTTP)
	for _, user := range []string{".", "..", "...", "a/b", "../x", "%2E", "a?b#c", " ", "\n", "+", "가"} {
		_, err := c.Check(t.Context(), grant.TextID(user), "cheer-up")
		require.NoError(t, err, "%q", user)
		require.Equal(t, user, <-asked)
	}
}

// What may pass is tried again, and nothing else is.
func TestAttempts(t *testing.T) {
	for _, test := range []struct {
		code, tries int
		unknown     bool
	}{
		{503, 3, true}, {503, 3, false}, {429, 3, false}, {502, 3, false}, {404, 1, false}, {401, 1, false}, {500, 1, false},
		{302, 1, false},
	} {
		var tries atomic.Int64
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			tries.Add(1)
			if test.unknown {
				w.Header().Set("Granter-Basis", "unknown")
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.code)
			fmt.Fprint(w, `{"type":"urn:problem-type:granter:x","detail":"why","status":1}`)
		})
		_, err := c.Check(t.Context(), grant.NumberID(7), "x")
		var problem *Error
		require.ErrorAs(t, err, &problem)
		require.Equal(t, Error{
			Status: test.code, Type: "urn:problem-type:granter:x", Detail: "why", unknown: test.unknown,
		}, *problem)
		require.EqualValues(t, test.tries, tries.Load(), test.code)
		if test.unknown {
			require.ErrorIs(t, err, ErrUnknown)
		} else {
			require.NotErrorIs(t, err, ErrUnknown)
		}
	}
	var tries atomic.Int64
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"user":"7","active":true}`)
	})
	check, err := c.Check(t.Context(), grant.NumberID(7), "x")
	require.NoError(t, err)
	require.True(t, check.Active)
}

func TestListsOfAnyLength(t *testing.T) {
	var lists atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		lists.Add(1)
		body, _ := io.ReadAll(r.Body)
		answer := make([]byte, len(body)/8)
		for i := range answer {
			answer[i] = byte(binary.BigEndian.Uint64(body[8*i:]) % 2)
		}
		_, _ = w.Write(answer)
	})
	users := make([]grant.UserID, 2*listSize+5)
	for i := range users {
		users[i] = grant.NumberID(uint64(i / 3))
	}
	got, err := c.CheckAll(t.Context(), "x", users)
	require.NoError(t, err)
	require.EqualValues(t, 3, lists.Load())
	require.Len(t, got, len(users))
	for i := range users {
		require.Equal(t, users[i].Number()%2 == 1, got[i] == grant.StateActive)
	}
	got, err = c.CheckAll(t.Context(), "x", nil)
	require.NoError(t, err)
	require.Empty(t, got)
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff}) })
	_, err = c.CheckAll(t.Context(), "x", users[:1])
	require.ErrorContains(t, err, "does not know (255)")
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{1}) })
	_, err = c.CheckAll(t.Context(), "x", users[:2])
	require.ErrorContains(t, err, "about 1 users, asked was about 2")
}

func TestWhatAClientRefuses(t *testing.T) {
	for url, says := range map[string]string{
		"http://desk.example": "use https", "ftp://desk": "https://host:port", "https://a:b@desk": "nothing secret",
		"": "https://host:port",
	} {
		_, err := New(Config{URL: url, Token: "x"})
		require.ErrorContains(t, err, says, url)
	}
	_, err := New(Config{URL: "https://desk"})
	require.ErrorContains(t, err, "who asks?")
}

// The client has its own types, so that who uses it does not get a desk: they have the desk's fields, and its codes.
func TestTheClientKnowsWhatADeskSays(t *testing.T) {
	require.Equal(t, entitle.States(), states)
	tags := func(of reflect.Type) (list []string) {
		for _, field := range reflect.VisibleFields(of) {
			tag := field.Tag.Get("json")
			for i := range tag {
				if tag[i] == ',' {
					tag = tag[:i]
					break
				}
			}
			list = append(list, tag)
		}
		return list
	}
	require.Equal(t, tags(reflect.TypeFor[desk.Check]()), tags(reflect.TypeFor[Check]()))
	require.Equal(t, tags(reflect.TypeFor[desk.Holdings]()), tags(reflect.TypeFor[Holdings]()))
	require.Equal(t, tags(reflect.TypeFor[desk.Holding]()), tags(reflect.TypeFor[Holding]()))
}
