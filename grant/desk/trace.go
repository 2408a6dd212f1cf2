package desk

import (
	"context"
	"net/http"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/lookup"
)

const (
	// traceFor leaves the rest of a request's time for the answer. A larger topic is for granter verify --trace.
	traceFor = 10 * time.Second
	// tracesAtOnce bounds what people who look into topics take of Kafka: each reads as fast as a run.
	tracesAtOnce = 2
)

// readTrace reads which part of the topic is to be searched for the user; nil: none.
func readTrace(r *http.Request) (whole *bool, err error) {
	switch text := r.URL.Query().Get("trace"); {
	case !r.URL.Query().Has("trace"):
		return nil, nil
	case text == "grant", text == "topic":
		return new(text == "topic"), nil
	}
	return nil, newProblem(kindMalformed, "trace: want grant (the offsets that a grant names) or topic (all of it)")
}

// trace adds to answers what the topic has of their users, within the time that a request has.
func (a *api) trace(ctx context.Context, c *Subject, answers []lookup.Answer, whole bool) error {
	if c.Trace == nil {
		return newProblem(kindUnavailable, "topics are not searched here: granter verify --trace does")
	}
	return a.searching(ctx, func(ctx context.Context) error { return c.Trace(ctx, answers, whole) })
}

// searching reads a topic within the time that a request has, and fails if others do so already.
func (a *api) searching(ctx context.Context, read func(context.Context) error) error {
	select {
	case a.traces <- struct{}{}:
		defer func() { <-a.traces }()
	default:
		return newProblem(kindBusy, "others are having topics searched: try again in a few seconds")
	}
	ctx, cancel := context.WithTimeout(ctx, min(traceFor, a.cfg.pace.request*2/3))
	defer cancel()
	return read(ctx)
}

// searchTopic is the page of one user in one campaign, with what the topic has.
func (a *api) searchTopic(w http.ResponseWriter, r *http.Request, who Principal) {
	a.one(w, r, who, func(users []grant.UserID) ([][]lookup.Answer, error) {
		c, err := a.readable(r)
		if err != nil {
			return nil, err
		}
		answers, err := lookup.Look(r.Context(), a.asked(c), users)
		if err != nil {
			return nil, err
		}
		if err := a.reads(r, who, accesslog.WhatLookup, users...); err != nil {
			return nil, err
		}
		return [][]lookup.Answer{answers}, a.trace(r.Context(), c, answers, !answers[0].Granted)
	})
}
