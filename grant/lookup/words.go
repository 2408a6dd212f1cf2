package lookup

import (
	"cmp"
	"errors"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/userid"
)

func outside(c *grant.Campaign, user grant.UserID) Reason {
	if c.Input.Opaque() || !user.IsNumber() {
		return Reason{
			Code: OutsidePopulation,
			Says: say("No user of this campaign has such an ID: its IDs are %s.", "이 캠페인에는 이런 ID의 사용자가 없습니다. ID 형식은 %s입니다.",
				map[grant.IDs]Text{
					"": say("numbers", "숫자"), grant.IDsInt64: say("numbers of 64 bits", "64비트 숫자"), grant.IDsUUID: say("UUIDs",
						"UUID"),
					grant.IDsString: say("texts of up to 256 bytes", "최대 256바이트의 문자열"),
				}[c.Input.IDs]),
			Next: say("Ask the customer for the ID again; it may be that of another campaign.",
				"고객에게 ID를 다시 확인하세요. 다른 캠페인의 ID일 수 있습니다."),
		}
	}
	return Reason{
		Code: OutsidePopulation,
		Says: say("The ID is above %s, the largest that this campaign has users for.",
			"ID가 이 캠페인에서 가능한 가장 큰 값(%s)보다 큽니다.", int64(userid.Limit(c.Input.MaxID))),
		Next: say("Ask the customer for the ID again; a digit may have been added.",
			"고객에게 ID를 다시 확인하세요. 숫자가 하나 더 들어갔을 수 있습니다."),
	}
}

func rejected(partition int, offset int64, reason, value string) *Reason {
	return &Reason{
		Code: Rejected,
		Says: say("A record that seems to mean this user was malformed (%s), so nobody was granted by it: offset %s of "+
			"partition %s.",
			"이 사용자로 보이는 레코드가 잘못된 형식(%s)이라 지급에 쓰이지 못했습니다: 파티션 %[3]s, 오프셋 %[2]s.",
			reason, plain(offset), plain(int64(partition))),
		Next: say("Have whoever fills the topic publish the user again, correctly, and send them this record.",
			"토픽을 채우는 담당자에게 이 레코드를 전달하고 사용자를 올바른 형식으로 다시 발행하도록 요청하세요."),
		Detail: value,
	}
}

func neverInTopic(t *Trace) Reason {
	return Reason{
		Code: NeverInTopic,
		Says: say("The whole topic was searched, %s records, and this user is in none of them.",
			"토픽 전체(레코드 %s개)를 검색했지만 이 사용자의 레코드는 없습니다.", t.Searched),
		Next: say("Ask whoever fills the topic why the user was left out; once published, a run grants them.",
			"토픽을 채우는 담당자에게 이 사용자가 빠진 이유를 확인하세요. 발행되면 다음 실행에서 지급됩니다."),
	}
}

func notFound(st *status.Status) Reason {
	return Reason{
		Code: NotFound,
		Says: say("All %s records of the topic are settled and this user is not among those who were granted: most likely no "+
			"record names them.", "토픽의 레코드 %s개가 모두 처리되었고 이 사용자는 지급 대상에 없었습니다. 이 사용자를 가리키는 레코드가 없을 가능성이 "+
			"큽니다.", st.Records),
		Next: say("Check the ID with the customer; to be sure, search the topic (on the page, or granter verify --trace).",
			"고객에게 ID를 다시 확인하세요. 확실히 하려면 토픽에서 찾아보세요(페이지의 링크 또는 granter verify --trace)."),
	}
}

func unexplained(partition int, offset int64) Reason {
	return Reason{
		Code: Unexplained,
		Says: say("Offset %s of partition %s names this user, counts as settled, and nobody was granted by it.",
			"파티션 %[2]s의 오프셋 %[1]s 레코드가 이 사용자를 가리키고 처리된 것으로 되어 있으나 지급되지 않았습니다.",
			plain(offset), plain(int64(partition))),
		Next: say("Hand this to the engineers of granter with this answer: it must not happen.",
			"이 답변과 함께 granter 엔지니어에게 전달하세요. 있어서는 안 되는 일입니다."),
	}
}

func notTakenYet(e *Entitlement) *Reason {
	r := &Reason{
		Code: NotTakenYet, Item: e.ID, When: e.TakeUntil,
		Says: say("The item %s is there for this user to take, and the user has not taken it.",
			"%s 항목은 사용자가 직접 받아야 하며 아직 받지 않았습니다.", e.ID),
		Next: say("Tell the customer where to take it.", "고객에게 받는 방법을 안내하세요."),
	}
	if e.TakeUntil != nil {
		r.Next = say("Tell the customer where to take it, and that it is possible before %s.",
			"고객에게 받는 방법과 기한(%s 전까지)을 안내하세요.", *e.TakeUntil)
	}
	return r
}

func notTaken(e *Entitlement) *Reason {
	return &Reason{
		Code: NotTakenInTime, Item: e.ID, When: e.TakeUntil,
		Says: say("The item %s was there to take before %s, and this user did not take it.",
			"%s 항목은 %s 전까지 받을 수 있었으나 사용자가 받지 않았습니다.", e.ID, *e.TakeUntil),
		Next: say("It cannot be taken any more: exceptions are for the operators to decide.",
			"더 이상 받을 수 없습니다. 예외 처리는 운영자가 결정합니다."),
	}
}

func exhausted(e *Entitlement) *Reason {
	return &Reason{
		Code: QuotaExhausted, Item: e.ID,
		Says: say("The item %s was for the first who took it, and others took the last of it.",
			"%s 항목은 선착순이며 다른 사용자가 마지막 수량을 받았습니다.", e.ID),
		Next: say("Tell the customer that there are none left.", "고객에게 수량이 소진되었음을 안내하세요."),
	}
}

func notStarted(st *status.Status) *Reason {
	return &Reason{
		Code: NotStarted, When: &st.StartsAt,
		Says: say("The campaign has not started: it starts on %s.", "캠페인이 아직 시작되지 않았습니다. 시작: %s.", st.StartsAt),
		Next: say("Tell the customer when it starts.", "고객에게 시작 시각을 안내하세요."),
	}
}

func postponed(st *status.Status) *Reason {
	return &Reason{
		Code: Postponed, When: &st.StartsAt,
		Says: say("The start was postponed from %s to %s.", "시작이 %s에서 %s로 연기되었습니다.", *st.PostponedFrom, st.StartsAt),
		Next: say("Tell the customer the new date.", "고객에게 변경된 시각을 안내하세요."),
	}
}

func preflightHolds(h *grant.Hold) *Reason {
	return &Reason{
		Code: Preflight,
		Says: say("It should grant, but a check before the start fails, so nobody is granted anything yet.",
			"시작 전 점검을 통과하지 못해 아직 아무에게도 지급되지 않았습니다."),
		Next: say("Operators are to mend what the check names (granter check); look again later.",
			"운영자가 점검 항목(granter check)을 해결해야 합니다. 나중에 다시 조회하세요."),
		Detail: h.Detail,
	}
}

func aborted(st *status.Status) *Reason {
	return &Reason{
		Code: Aborted,
		Says: say("Operators aborted the campaign before this user was granted.",
			"이 사용자에게 지급되기 전에 운영자가 캠페인을 중단했습니다."),
		Next: say("Ask the operators whether it will be resumed before you promise anything.",
			"고객에게 약속하기 전에 운영자에게 재개 여부를 확인하세요."),
		Detail: ordered(st, grant.ActionAbort),
	}
}

func ended(st *status.Status) *Reason {
	return &Reason{
		Code: Ended, When: st.EndsAt,
		Says: say("The campaign ended on %s, and this user was not granted before.",
			"캠페인이 %s에 종료되었고 그 전까지 이 사용자에게 지급되지 않았습니다.", *st.EndsAt),
		Next: say("Nobody is granted any more: if the customer should have been, hand it to the operators.",
			"더 이상 지급되지 않습니다. 지급되었어야 하는 고객이라면 운영자에게 전달하세요."),
	}
}

func finished(st *status.Status) Reason {
	return Reason{
		Code: Finished,
		Says: say("Operators ordered the campaign to finish; whom a record names that came later (%s did) is granted nothing.",
			"운영자가 캠페인을 마감했습니다. 그 뒤에 들어온 레코드 %s개의 사용자에게는 지급되지 않습니다.", st.Lag),
		Next: say("If the customer should have the grant, ask the operators to resume the campaign.",
			"지급되어야 하는 고객이라면 운영자에게 캠페인 재개를 요청하세요."),
		Detail: ordered(st, grant.ActionFinish),
	}
}

func paused(st *status.Status) *Reason {
	return &Reason{
		Code: Paused,
		Says: say("Operators paused the campaign: nobody is granted anything until they resume it.",
			"운영자가 캠페인을 일시 중지했습니다. 재개될 때까지 아무에게도 지급되지 않습니다."),
		Next:   say("Tell the customer that it is delayed; look again later.", "고객에게 지연을 안내하고 나중에 다시 조회하세요."),
		Detail: ordered(st, grant.ActionPause),
	}
}

// held is for the causes that stop all runs and are neither an order nor preflight.
func held(st *status.Status) *Reason {
	r := &Reason{
		Code: Held,
		Says: say("Granting stands still: the servers it depends on are not well.",
			"지급이 멈춰 있습니다. 지급에 필요한 서버 상태가 정상이 아닙니다."),
		Next: say("Operators know by an alert; tell the customer that it is delayed, and look again later.",
			"운영자에게 알림이 전달되었습니다. 고객에게 지연을 안내하고 나중에 다시 조회하세요."),
	}
	if len(st.Holds) > 0 {
		r.Detail = st.Holds[0].Detail
	}
	return r
}

func throttled(st *status.Status) *Reason {
	r := &Reason{
		Code: Throttled,
		Says: say("Granting is slowed down on purpose.", "의도적으로 지급 속도를 늦추고 있습니다."),
		Next: say("Nothing is wrong: it takes longer. Look again later.", "문제가 아니라 시간이 더 걸리는 것입니다. 나중에 다시 조회하세요."),
	}
	if len(st.Holds) > 0 {
		r.Detail = st.Holds[0].Detail
	}
	return r
}

func nobodyRuns(st *status.Status) *Reason {
	return &Reason{
		Code: NobodyRuns,
		Says: say("Records wait (%s), and no replica of granter runs that would grant them.",
			"레코드 %s개가 대기 중이지만 처리할 granter 프로세스가 실행되고 있지 않습니다.", st.ToGo()),
		Next: say("Tell the operators: somebody has to start granter run.", "운영자에게 알리세요. granter run을 시작해야 합니다."),
	}
}

func canaryOnly(pass string) *Reason {
	return &Reason{
		Code: OnlyCanary,
		Says: say("Until now the campaign is granted to some users for a trial (%s), and this user is not one of them.",
			"지금까지는 일부 사용자(%s)에게만 시험 지급되었고 이 사용자는 포함되지 않았습니다.", pass),
		Next: say("Tell the customer that everybody follows; look again later.",
			"고객에게 순차적으로 지급된다고 안내하고 나중에 다시 조회하세요."),
	}
}

// inLag says where the user may still be. Which partition has their record is not known before it is read.
func inLag(st *status.Status) Reason {
	lag := &Lag{Records: st.ToGo(), Partitions: []Behind{}}
	for _, p := range st.Partitions {
		if p.Lag > 0 {
			lag.Partitions = append(lag.Partitions, Behind{p.Partition, p.End - p.Lag, p.Lag})
		}
	}
	slices.SortStableFunc(lag.Partitions, func(a, b Behind) int { return cmp.Compare(b.Records, a.Records) })
	r := Reason{
		Code: InLag, Lag: lag,
		Says: say("%s of %s records are not settled yet, in %s of %s partitions, and this user may be in one of them.",
			"레코드 %[2]s개 중 %[1]s개가 파티션 %[4]s개 중 %[3]s개에 아직 남아 있고, 이 사용자의 레코드가 그중에 있을 수 있습니다.",
			lag.Records, st.Records, len(lag.Partitions), len(st.Partitions)),
		Next: say("Look again later.", "나중에 다시 조회하세요."),
	}
	if end := st.EstimatedEnd; end != nil {
		at := end.In(st.StartsAt.Location())
		lag.DoneAbout, r.When = &at, &at
		r.Next = say("Look again after %s, when it should be done at the present rate.",
			"현재 속도라면 %s쯤 끝납니다. 그 뒤에 다시 조회하세요.", at)
	}
	return r
}

func topicReplaced(st *status.Status) Reason {
	return Reason{
		Code: TopicReplaced,
		Says: say("The topic is not the one that was read before, and operators have not decided how to go on.",
			"토픽이 이전에 읽던 것과 다르며 운영자가 아직 처리 방법을 결정하지 않았습니다."),
		Next: say("Hand it to the operators.", "운영자에게 전달하세요."), Detail: st.TopicChanged,
	}
}

// unanswered says why the ledger gave no answer.
func unanswered(err error) Reason {
	if errors.Is(err, ledger.ErrInconsistent) {
		return Reason{
			Code: LedgerInconsistent,
			Says: say("The ledger contradicts itself, so it cannot be said whether this user was granted.",
				"원장에 모순이 있어 이 사용자에게 지급되었는지 말할 수 없습니다."),
			Next: say("Hand it to the engineers (granter status --prove), and promise the customer nothing yet.",
				"엔지니어에게 전달하고(granter status --prove) 고객에게 아직 약속하지 마세요."),
			Detail: err.Error(),
		}
	}
	return Reason{
		Code: LedgerUnavailable,
		Says: say("The ledger does not answer, so it is not known whether this user was granted.",
			"원장이 응답하지 않아 이 사용자에게 지급되었는지 알 수 없습니다."),
		Next:   say("Try again in a minute; if it stays so, tell the operators.", "잠시 후 다시 시도하고 계속되면 운영자에게 알리세요."),
		Detail: err.Error(),
	}
}

func statusUnknown(err error) Reason {
	r := Reason{
		Code: StatusUnknown,
		Says: say("The user has not been granted; why cannot be said now, because how far the campaign is cannot be asked.",
			"지급되지 않았습니다. 캠페인 진행 상황을 확인할 수 없어 지금은 이유를 말할 수 없습니다."),
		Next: say("Try again in a minute.", "잠시 후 다시 시도하세요."),
	}
	if err != nil {
		r.Detail = err.Error()
	}
	return r
}

// ordered is what is said of an order that is in force.
func ordered(st *status.Status, action grant.Action) string {
	for _, o := range st.Orders {
		if o.Action == action {
			return o.Says
		}
	}
	return ""
}

// plain writes an offset or a partition, which are names and no amounts: as Kafka's tools do.
func plain(n int64) string { return itoa(int(n)) }
