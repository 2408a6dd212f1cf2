package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

const (
	orders = "POST " + ofCampaign + "/orders" // the route of orders

	maxOrder = 16 << 10     // bytes; the longest reason has 6,000, of characters that are escaped
	maxWhy   = grant.MaxWhy // bytes of a refused order's reason that are kept

	via                        = "api"
	actionUnknown grant.Action = "unknown" // of a refused order that could not be read
)

// actions are what can be ordered here. The others are acts of a run.
var actions = []grant.Action{
	grant.ActionPause, grant.ActionResume, grant.ActionThrottle, grant.ActionAbort, grant.ActionFinish, grant.ActionPostpone,
}

var errBusy = errors.New("too many are being recorded at once")

// order is the body of a request that gives an order.
type order struct {
	Action   grant.Action `json:"action"`
	Throttle *int64       `json:"throttle,omitempty"`  // users per second; throttle only, and there it must be given
	StartsAt *time.Time   `json:"starts_at,omitempty"` // postpone only
	For      string       `json:"for,omitempty"`       // pause and throttle only: a duration of Go; empty: until another order
	Why      string       `json:"why"`
}

// readOrder reads the JSON of an order and nothing else.
func readOrder(body io.Reader) (*order, error) {
	text, err := io.ReadAll(body)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, newProblem(kindTooLarge, fmt.Sprintf("the order has more than %d bytes", large.Limit))
	}
	if err != nil {
		return nil, newProblem(kindMalformed, "reading the order: "+err.Error())
	}
	var o order
	if err := strictly("order", text, &o); err != nil {
		return nil, err
	}
	return &o, nil
}

func (o *order) known() bool { return slices.Contains(actions, o.Action) }

// complete returns the order as the ledger takes it, or a problem that joins everything that is wrong with it.
func (o *order) complete(who Principal) (grant.Order, error) {
	out := grant.Order{Action: o.Action, StartsAt: o.StartsAt, Who: who.Name, Via: via, Why: o.Why}
	var errs []error
	if !o.known() {
		out.Action = "" // of a run, and not for here
	}
	switch throttles := o.Action == grant.ActionThrottle; {
	case o.Throttle != nil:
		out.Throttle = *o.Throttle
		if !throttles && *o.Throttle != 0 {
			errs = append(errs, fmt.Errorf("%s has no throttle", o.Action))
		}
	case throttles:
		errs = append(errs, errors.New("throttle is missing: want users per second, or 0 for no limit"))
	}
	if o.For != "" {
		var err error
		if out.For, err = time.ParseDuration(o.For); err != nil || out.For <= 0 {
			errs = append(errs, fmt.Errorf(
				"for %q: want a time such as 30m or 2h; without it, the order holds until another one", o.For))
			out.For = 0
		}
	}
	if o.StartsAt != nil && o.Action != grant.ActionPostpone {
		errs = append(errs, fmt.Errorf("%s has no starts_at", o.Action))
	}
	if err := errors.Join(append(errs, out.Validate())...); err != nil {
		return out, newProblem(kindInvalid, err.Error())
	}
	return out, nil
}

// ordered is what an order did, and to which campaign.
type ordered struct {
	Campaign string             `json:"campaign"`
	Act      grant.HistoryEntry `json:"act"`
}

// inForce are the orders that are in force. Their ETag is what an order says in If-Match that must not undo what it has not seen.
type inForce struct {
	Campaign string           `json:"campaign"`
	Control  grant.Control    `json:"control"`
	Orders   []grant.Standing `json:"orders"`
}

func (o inForce) version() int64 { return o.Control.Version }

func (a *api) standing(r *http.Request, _ Principal) (any, error) {
	c, err := a.campaign(r)
	if err != nil {
		return nil, err
	}
	control, _, err := c.Coordination.Control(r.Context())
	if err != nil {
		return nil, err
	}
	return inForce{c.Campaign.Name, control, control.Standing(c.Campaign.StartsAt.Location())}, nil
}

// order carries out an order. Once it has been read, it does not matter whether its sender waits for the answer:
// somebody who orders a pause and loses the connection wants it still.
func (a *api) order(r *http.Request, who Principal) (any, error) {
	c, err := a.campaign(r)
	if err != nil {
		return nil, err
	}
	asked, err := readOrder(r.Body)
	if err != nil {
		return nil, err
	}
	if right := Right(asked.Action); asked.known() && !who.Role.may(right) {
		f := refuse(kindRight, who.Role.lacks([]Right{right}))
		f.order = asked
		return nil, a.gate.failure(who.Name, f)
	}
	o, err := asked.complete(who)
	if err == nil {
		o.If, err = ifVersion(r)
	}
	if err != nil {
		return nil, err
	}
	if o.Action != grant.ActionPause && !a.gate.orders.Allow(who.Name) { // nothing keeps anybody from a pause
		return nil, refuse(kindRate, "too many orders: wait a second; pause is always taken")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.cfg.pace.request)
	defer cancel()
	if needsSpec := o.Action == grant.ActionFinish || o.Action == grant.ActionPostpone; needsSpec && c.Broken != nil {
		return nil, fmt.Errorf("nothing was ordered: %w", c.Broken)
	}
	if o.Action == grant.ActionFinish {
		granted, _, err := status.InForce(ctx, c.Coordination, c.Reader, c.Campaign)
		if err != nil {
			return nil, fmt.Errorf("which topic is it? Nothing was ordered: %w", err)
		}
		if err := status.OtherTopic(granted, c.Campaign); err != nil {
			return nil, newProblem(kindOtherTopic, "nothing was ordered: "+err.Error())
		}
		bounds, err := c.Bounds(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking Kafka where the topic ends; nothing was ordered: %w", err)
		}
		o.Ends = bounds.Ends
		if c.Identify != nil {
			if o.Topic, err = c.Identify(ctx); err != nil {
				return nil, fmt.Errorf("asking Kafka which topic that is; nothing was ordered: %w", err)
			}
		}
	}
	act, err := c.Coordination.Order(ctx, o)
	switch {
	case errors.Is(err, grant.ErrRefused):
		a.cfg.Log.Warn("order refused", "action", string(o.Action), "who", o.Who, "why", o.Why, "error", err)
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("it may have been carried out all the same, so look at the history before you order again: %w",
			err)
	}
	a.cfg.Log.Info("order carried out", "action", string(o.Action), "who", o.Who, "why", o.Why, "version", act.After.Version)
	return ordered{c.Campaign.Name, act}, nil
}

// cut shortens a text to a number of bytes.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
