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
	if n.Programme != s.Programme.Name {
		return fmt.Errorf("it is of programme %s, and this sender is of %s: run one for each", n.Programme, s.Programme.Name)
	}
	r, err := s.Store.Report(ctx, n.Programme, n.Report)
	if err != nil {
		return err
	}
	window, _, open := s.Programme.Open(s.windows, claims.ReportWindow, s.now())
	switch {
	case r.Claim != "" || !open:
		return errStale
	case r.Reporter == nil:
		return fmt.Errorf("%w: who reported was erased", ErrNowhere)
	}
	return s.Channel.Send(ctx, s.renderReminder(n, r, &window))
}

// renderReminder says nothing of the sum: messages are read by others, too.
func (s *Sender) renderReminder(n *store.Notice, r *store.Report, window *claims.Window) *Message {
	l := tell.Parse(r.Reporter.Language)
	words := subjects[n.Kind]
	t := func(ko, en string) string { return tell.Text{KO: ko, EN: en}.In(l) }
	lines := []string{
		words.lead.In(l), "",
		t("신고번호: ", "Number of your report: ") + r.Number,
		t("신고한 날: ", "Reported: ") + l.Moment(r.At, s.Programme.Zone),
		tell.Text{KO: "신청 기한: {until}", EN: "You can claim until {until}."}.Fill(l, "{until}",
			l.Until(window.Closes, s.Programme.Zone)),
	}
	if s.Public != "" {
		lines = append(lines, t("신청하기: ", "Claim here: ")+strings.TrimSuffix(s.Public, "/")+"/")
	}
	if s.Contact != "" {
		lines = append(lines, t("문의: ", "Help: ")+s.Contact)
	}
	return &Message{
		ID: n.ID, Report: n.Report, Kind: n.Kind, Language: l, Name: r.Reporter.Business, Phone: r.Reporter.Phone,
		Email: r.Reporter.Email, Subject: "[" + s.Programme.Title + "] " + words.subject.In(l), Text: strings.Join(lines,
			"\n") + "\n",
	}
}
