package notices

import (
	"context"
	"fmt"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// reminder tells whoever reported a loss, and has handed in no claim, until when that can be done. It is no longer true when a
// claim of the business has come meanwhile, or none is taken any more.
func (s *Sender) reminder(ctx context.Context, n *store.Notice) error {
	p, windows := s.Programme, s.windows
	if n.Programme != p.Name { // one sender has the notices of all programmes
		var err error
		if p, err = s.Store.Programme(ctx, n.Programme); err != nil {
			return err
		}
		if windows, err = s.Store.Windows(ctx, p); err != nil {
			return err
		}
	}
	r, err := s.Store.Report(ctx, n.Programme, n.Report)
	if err != nil {
		return err
	}
	window, _, open := p.Open(windows, claims.ReportWindow, s.now())
	switch {
	case r.Claim != "" || !open:
		return errStale
	case r.Reporter == nil:
		return fmt.Errorf("%w: who reported was erased", ErrNowhere)
	}
	return s.Channel.Send(ctx, s.renderReminder(n, r, p, &window))
}

// renderReminder says nothing of the sum: messages are read by others, too.
func (s *Sender) renderReminder(n *store.Notice, r *store.Report, p *claims.Programme, window *claims.Window) *Message {
	l := tell.Parse(r.Reporter.Language)
	words := subjects[n.Kind]
	t := func(ko, en string) string { return tell.Text{KO: ko, EN: en}.In(l) }
	lines := []string{
		words.lead.In(l), "",
		t("신고번호: ", "Number of your report: ") + r.Number,
		t("신고한 날: ", "Reported: ") + l.Moment(r.At, p.Zone),
		tell.Text{KO: "신청 기한: {until}", EN: "You can claim until {until}."}.Fill(l, "{until}",
			l.Until(window.Closes, p.Zone)),
	}
	if s.Public != "" {
		lines = append(lines, t("신청하기: ", "Claim here: ")+strings.TrimSuffix(s.Public, "/")+"/")
	}
	if s.Contact != "" {
		lines = append(lines, t("문의: ", "Help: ")+s.Contact)
	}
	return &Message{
		ID: n.ID, Report: n.Report, Kind: n.Kind, Language: l, Name: r.Reporter.Business, Phone: r.Reporter.Phone,
		Email: r.Reporter.Email, Subject: "[" + p.Title + "] " + words.subject.In(l), Text: strings.Join(lines,
			"\n") + "\n",
	}
}
