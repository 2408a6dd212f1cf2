package claims

import (
	"fmt"
	"slices"
	"strings"
)

// Signal is a reason for which a person must look before a claim is paid. It is no reason to decline.
type Signal struct {
	Kind   SignalKind `json:"kind"`
	What   string     `json:"what"`             // one sentence, without personal data
	Others []string   `json:"others,omitempty"` // the claims that share it, sorted
}

// SignalKind is what a signal is about.
type SignalKind string

// The kinds of signals.
const (
	SameAccount  SignalKind = "same_account"
	SamePhone    SignalKind = "same_phone"
	SameAddress  SignalKind = "same_address"
	SameDocument SignalKind = "same_document"
	JustBelow    SignalKind = "just_below"    // a loss just below the end of a tier
	OpenedLater  SignalKind = "opened_later"  // the business opened during or after the outage
	AbovePeers   SignalKind = "above_peers"   // much more than others of the industry
	NotConfirmed SignalKind = "not_confirmed" // the tax office or the bank does not say what the owner says
)

// Shared are the signals that compare claims with each other, in the order in which they are shown.
var Shared = []SignalKind{SameAccount, SamePhone, SameAddress, SameDocument}

// Same reports whether a person who judged one has judged the other: a claim more that shares the account is news.
func (s *Signal) Same(o *Signal) bool {
	return s.Kind == o.Kind && slices.Equal(s.Others, o.Others)
}

// Peers is what other claims of the industry report.
type Peers struct {
	Count  int
	Median Won
}

// What makes a loss suspicious. A person judges it; so they err on the side of asking.
const (
	belowShare = 100 // the last 1/100 below the end of a tier
	peersTimes = 10  // times the median of the industry
	peersLeast = 20  // claims, below which a median says little
)

// Signals are those that the facts of one claim show, and those of others that share something with it. What was judged before
// is left out.
func (p *Programme) Signals(f *Facts, a *Assessment, shared map[SignalKind][]string, peers Peers, judged []Signal) []Signal {
	var out []Signal
	for _, kind := range Shared {
		if others := shared[kind]; len(others) > 0 {
			slices.Sort(others)
			what := strings.TrimPrefix(string(kind), "same_")
			out = append(out, Signal{kind, fmt.Sprintf("%d other claims have the same %s", len(others), what), others})
		}
	}
	loss := p.Tiers.basis(a)
	if loss > 0 {
		row := &p.Tiers.Table[p.Tiers.of(loss)]
		if !row.Open && loss < row.End && row.End-loss <= row.End/belowShare {
			out = append(out, Signal{Kind: JustBelow, What: fmt.Sprintf("the loss of %d won is just below %d", loss, row.End)})
		}
	}
	if f.Opened >= p.Outage.From {
		out = append(out, Signal{Kind: OpenedLater, What: fmt.Sprintf("the business opened on %s, the outage began on %s",
			f.Opened, p.Outage.From)})
	}
	if peers.Count >= peersLeast && peers.Median > 0 && loss/peersTimes >= peers.Median {
		out = append(out, Signal{Kind: AbovePeers, What: fmt.Sprintf("the loss of %d won is at least %d times %d, "+
			"the median of %d claims of the industry", loss, peersTimes, peers.Median, peers.Count)})
	}
	return slices.DeleteFunc(out, func(s Signal) bool {
		return slices.ContainsFunc(judged, func(j Signal) bool { return j.Same(&s) })
	})
}
