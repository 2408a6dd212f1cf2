package review

import (
	"cmp"
	"net/http"

	"github.com/granter/granter/grant/claims/store"
)

// actor is somebody in the first of their duties; an auditor has none.
func (s *Staff) actor() store.Actor { return store.Actor{Name: s.Name, Duty: cmp.Or(s.Duties...)} }

// Reading is a line of the access log: somebody reads something of some claims.
func (s *Staff) Reading(what store.ReadWhat, why string, ids ...string) store.Reading {
	return store.Reading{By: s.actor(), From: s.From, What: what, Why: why, Claims: ids}
}

// reads adds a line to the access log: somebody is about to see something of some claims. On an error nothing of them is shown.
func (d *Desk) reads(r *http.Request, who *Staff, what store.ReadWhat, why string, ids ...string) error {
	return d.Store.Read(r.Context(), who.Reading(what, why, ids...))
}

// look returns who the owner of the request's claim is; history keeps who looked, and why.
func (d *Desk) look(r *http.Request, who *Staff, why string) (*store.Person, error) {
	if _, err := d.history(r); err != nil {
		return nil, err
	}
	return d.Store.ReadPerson(r.Context(), r.PathValue("claim"), who.actor(), who.From, why)
}

// nameOf is what staff call what was read.
func (v *view) nameOf(what store.ReadWhat) string {
	switch what {
	case store.ReadList:
		return v.say("목록", "a list")
	case store.ReadClaim:
		return v.say("신청 내용", "the claim")
	case store.ReadStatus:
		return v.say("진행 상태", "how it stands")
	case store.ReadCouncil:
		return v.say("심의 자료", "as the council sees it")
	case store.ReadOwner:
		return v.say("신청인", "who the owner is")
	case store.ReadDocument:
		return v.say("서류", "a document")
	case store.ReadReport:
		return v.say("이전 신고", "an earlier report")
	case store.ReadDone:
		return v.say("처리 결과", "what a step comes to")
	default:
		return string(what)
	}
}
