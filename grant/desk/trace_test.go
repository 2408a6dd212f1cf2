package desk

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/lookup"
)

// Support has the topic searched from the page and through the API: who did is recorded before, and only some do so at once.
func TestATopicIsSearchedForWhoMayLookUsersUp(t *testing.T) {
	var log readings
	var asked []bool
	begun, goOn := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(w *world) {
		w.cfg.Reads = &log
		w.cfg.Trace = func(ctx context.Context, answers []lookup.Answer, whole bool) error {
			if _, bounded := ctx.Deadline(); !bounded || len(log.all) == 0 {
				return context.DeadlineExceeded
			}
			asked = append(asked, whole)
			answers[0].Trace = &lookup.Trace{Records: []lookup.Record{}, Whole: whole, Searched: 7}
			return nil
		}
	})
	w.grant()
	var a lookup.Answer
	w.get(RoleSupport, base+"/users/3?trace=topic").into(&a)
	require.EqualValues(t, 7, a.Trace.Searched)
	w.get(RoleSupport, base+"/users/2?trace=grant").into(&a)
	w.get(RoleSupport, base+"/users/2?trace=all").is(http.StatusBadRequest)
	w.get(RoleViewer, base+"/users/2?trace=topic").is(http.StatusForbidden)
	for user, whole := range map[string]string{"2": "in the ranges of the grant", "3": "in the whole topic"} {
		page := w.get(RoleSupport, "/users/"+user+"/trace/sorry-2022")
		require.Equal(t, http.StatusOK, page.status)
		require.Contains(t, string(page.body), whole)
		require.Contains(t, string(page.body), `href="../../../users.css"`, "the page is three levels down")
	}
	for path, code := range map[string]int{"3/trace/other": http.StatusNotFound, "x/trace/sorry-2022": http.StatusBadRequest} {
		require.Equal(t, code, w.get(RoleSupport, "/users/"+path).status)
	}
	require.Len(t, asked, 4)
	require.Equal(t, accesslog.WhatLookup, log.all[0].What)

	w.server.api.cfg.Campaigns.(only).subject.Trace = func(context.Context, []lookup.Answer, bool) error {
		begun <- struct{}{}
		<-goOn
		return nil
	}
	done := make(chan int)
	for range tracesAtOnce {
		go func() { done <- w.get(RoleSupport, base+"/users/3?trace=topic").status }()
		<-begun
	}
	require.Contains(t, w.get(RoleSupport, base+"/users/3?trace=topic").is(http.StatusTooManyRequests), "in a few seconds")
	close(goOn)
	for range tracesAtOnce {
		require.Equal(t, http.StatusOK, <-done)
	}
}

// While the ledger is away support is told so, also where the log of who read what is in the same Redis: nothing is read.
func TestThatTheLedgerIsAwayIsSaid(t *testing.T) {
	log := readings{}
	w := newWorld(t, func(w *world) { w.cfg.Reads = &log })
	w.grant()
	w.redis.Close()
	var user User
	answer := w.get(RoleSupport, "/api/v1/users/2")
	answer.is(http.StatusOK)
	answer.into(&user)
	require.Equal(t, lookup.LedgerUnavailable, user.Answers[0].Reasons[0].Code)
	page := w.get(RoleSupport, "/users/2")
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, string(page.body), "Try again in a minute")
	require.Empty(t, log.all)
}
