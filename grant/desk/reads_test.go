package desk

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/desk/searchpage"
)

// readings is an access log.
type readings struct {
	all []accesslog.Access
	err error
}

func (r *readings) Record(_ context.Context, a accesslog.Access) error {
	r.all = append(r.all, a)
	return r.err
}

func TestWhoReadsARecordIsRecordedBeforeTheAnswer(t *testing.T) {
	var log readings
	w := newWorld(t, func(w *world) { w.cfg.Reads = &log })
	w.grant()
	w.get(RoleSupport, base+"/users/2?why=%20%EB%AC%B8%EC%9D%98+5%20").is(http.StatusOK)
	w.get(RoleSupport, "/api/v1/users/3").is(http.StatusOK)
	w.get(RoleViewer, "/api/v1/users/3").is(http.StatusForbidden)
	w.get(RoleSupport, "/api/v1/users/x").is(http.StatusBadRequest)
	w.get(RoleSupport, base+"/status").is(http.StatusOK)
	w.get(RoleSupport, base+"/users/2?why="+strings.Repeat("a", 1001)).is(http.StatusUnprocessableEntity)
	const support = "a-support"
	require.Equal(t, []accesslog.Access{
		{Who: support, From: "127.0.0.1", What: accesslog.WhatLookup, Why: "문의 5", Users: grant.NumberIDs(2)},
		{Who: support, From: "127.0.0.1", What: accesslog.WhatLookup, Users: grant.NumberIDs(3)},
	}, log.all)

	log.err = errors.New("recording who reads this: the disk is full")
	for _, path := range []string{base + "/users/2", "/api/v1/users/2"} {
		require.Equal(t, log.err.Error(), w.get(RoleSupport, path).is(http.StatusServiceUnavailable), "nothing of the user")
	}
}

// Whoever reads many records at once says why, or sees none of them.
func TestReadingManyRecordsNeedsAReason(t *testing.T) {
	var log readings
	w := newWorld(t, func(w *world) { w.cfg.Reads = &log })
	w.grant()
	list := func(users int) url.Values {
		var ids []string
		for i := range users {
			ids = append(ids, strconv.Itoa(i))
		}
		return url.Values{searchpage.FieldQuery: {strings.Join(ids, "\n")}}
	}
	few, many := list(accesslog.Single), list(accesslog.Single+1)
	b := w.signedIn(w.tokens[RoleSupport])
	b.send("/users", few).is(http.StatusOK)
	require.Len(t, log.all, 1)
	page := b.send("/users", many)
	page.isPage(http.StatusUnprocessableEntity)
	require.Contains(t, string(page.body), "needs a reason")
	require.NotContains(t, string(page.body), "Three emoticons", "nothing of anybody")
	require.Len(t, log.all, 1)
	many.Set(searchpage.FieldWhy, " ticket 4711 ")
	b.send("/users", many).is(http.StatusOK)
	require.Equal(t, "ticket 4711", log.all[1].Why)
	require.Len(t, log.all[1].Users, accesslog.Single+1)
}

// The log of a process goes to many who may not look users up.
func TestTheLogNamesNoUser(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/users/12345678":                    "/api/v1/users/…",
		"/api/v1/campaigns/sorry-2022/users/1/acts": "/api/v1/campaigns/sorry-2022/users/…/acts",
		"/api/v1/entitlements/1/cheer-up":           "/api/v1/entitlements/…/cheer-up",
		"/api/v1/campaigns/users-2022/status":       "/api/v1/campaigns/users-2022/status",
		"/users":                                    "/users",
	} {
		require.Equal(t, want, unnamed(path))
	}
	w := newWorld(t)
	w.grant()
	w.get(RoleSupport, base+"/users/2").is(http.StatusOK)
	w.get(RoleViewer, "/api/v1/users/918273").is(http.StatusForbidden)
	w.redis.Close()
	w.get(RoleSupport, base+"/users/918273").is(http.StatusServiceUnavailable)
	require.Contains(t, w.log.String(), "users/…")
	require.NotContains(t, w.log.String(), "918273")
}
