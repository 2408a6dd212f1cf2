//go:build integration

package entitle_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// part is a block of code of docs/entitlements.md.
func part(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/entitlements.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "<!-- begin: "+name+" -->\n")
	require.True(t, ok)
	block, _, ok := strings.Cut(rest, "<!-- end: "+name+" -->\n")
	require.True(t, ok)
	_, code, ok := strings.Cut(block, "\n") // behind the fence
	require.True(t, ok)
	return strings.TrimSuffix(strings.TrimSpace(code), "```")
}

// What the page tells other services to do, with the rights that it tells them to have, says what a check says; on a real Redis.
func TestRealRedisIsAskedAsThePageSays(t *testing.T) {
	server := devtest.StartRedis(t)
	client, err := ledger.Connect(ledger.Options{Addrs: []string{server.Addr}})
	require.NoError(t, err)
	defer client.Close()
	c := sorry()
	store, err := ledger.Open(client, c, ledger.Config{})
	require.NoError(t, err)
	grants := ledger.NewGrants(store, 7)
	_, err = grants.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	chunk, low := ledger.Place(grant.NumberID(12345678))
	members := new(dense.Bitmap)
	members.Set(low)
	members.Set(low + 1)
	require.NoError(t, grants.Grant(t.Context(), &dense.Flush{
		Seq: 1, Ranges: []sharding.Range{{First: 1, Last: 1}}, Deltas: []dense.Delta{{Chunk: chunk, Members: members, Count: 2}},
	}))

	admin := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer admin.Close()
	var acl []any
	for word := range strings.FieldsSeq(strings.TrimSpace(part(t, "rights"))) {
		acl = append(acl, strings.Replace(word, ">PASSWORD", ">secret", 1))
	}
	require.NoError(t, admin.Do(t.Context(), acl...).Err())
	ask := func(user string) string {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", part(t, "recipe"))
		cmd.Env = append(os.Environ(), "USER_ID="+user, "CAMPAIGN="+c.Name, "GRANTER_REDIS="+server.Addr, "REDISCLI_AUTH=secret")
		// redis-cli takes the name of the user as an option only.
		cmd.Args[2] = strings.Replace(cmd.Args[2], "redis-cli", "redis-cli --user shop", 1)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Equal(t, "1\n0\n\n", ask("12345678"))
	require.Equal(t, "1\n0\n\n", ask("12345679"))
	require.Equal(t, "0\n0\n\n", ask("12345680"))
	require.Equal(t, "0\n0\n\n", ask("9223372036854775807"))

	w := &world{T: t, client: client, campaigns: []entitle.Campaign{{Campaign: c, Ledger: ledger.NewReader(store)}}}
	require.Equal(t, []grant.State{active, active, none, none},
		w.states(w.checker(), "thank-you", time.Time{}, grant.NumberIDs(12345678, 12345679, 12345680, grant.MaxUserID)...))
	before, after := time.Now().Add(days90-time.Hour), time.Now().Add(days90+time.Hour)
	require.Equal(t, []grant.State{active, none}, w.states(w.checker(), "cheer-up", before, grant.NumberIDs(12345678,
		12345680)...))
	require.Equal(t, []grant.State{expired}, w.states(w.checker(), "cheer-up", after, grant.NumberID(12345678)))
}
