package ratelimit

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func (l *Limits) allowed(name string) (n int) {
	for l.Allow(name) {
		n++
	}
	return n
}

func TestEachNameHasItsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 10)
		require.Equal(t, 10, l.allowed("a"))
		require.Equal(t, 10, l.allowed("b"))
		time.Sleep(3 * time.Second)
		require.Equal(t, 3, l.allowed("a"))
	})
}

func TestManyNamesDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 2)
		for i := range maxLimiters {
			l.Allow(strconv.Itoa(i))
		}
		require.Len(t, l.byName, maxLimiters)
		time.Sleep(time.Minute)
		require.Equal(t, 2, l.allowed("busy"))
		require.Len(t, l.byName, 1, "all others may ask as much as new ones")
		for i := range 2 * maxLimiters {
			l.Allow(strconv.Itoa(i))
			require.LessOrEqual(t, len(l.byName), maxLimiters)
		}
	})
}

func TestAClientIsItsAddressOrNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"10.1.2.3:4000":               "10.1.2.3",
		"[::ffff:10.1.2.3]:4000":      "10.1.2.3",
		"[2001:db8:1:2:3:4:5:6]:4000": "2001:db8:1:2::/64",
		"[2001:db8:1:2::1]:5000":      "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5000":         "fe80::/64",
		"@":                           "@",
	} {
		require.Equal(t, want, AddressOf(&http.Request{RemoteAddr: remote}), remote)
	}
}
