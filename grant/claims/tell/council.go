package tell

import (
	"strconv"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
)

// Affiliation is for whom a member of the council speaks.
func Affiliation(a claims.Affiliation) Text {
	if t, ok := affiliations[a]; ok {
		return t
	}
	return Text{string(a), string(a)}
}

var affiliations = map[claims.Affiliation]Text{
	"consumers":      {"소비자단체", "consumers"},
	"small_business": {"소상공인단체", "small businesses"},
	"academia":       {"학계", "academia"},
	"company":        {"회사", "the company"},
}

// Choice is what a member voted; empty: nothing.
func Choice(c vote.Choice) Text {
	switch c {
	case vote.For:
		return Text{"찬성", "for"}
	case vote.Against:
		return Text{"반대", "against"}
	case vote.Abstain:
		return Text{"기권", "abstained"}
	default:
		return Text{"표결하지 않음", "no vote"}
	}
}

// Barred is why the rules recuse a member.
func Barred(why string) Text {
	if t, ok := barred[why]; ok {
		return t
	}
	return Text{why, why}
}

var barred = map[string]Text{
	vote.BarredOwn:     {"위원 자신의 신청", "The claim is the member’s own"},
	vote.BarredEntered: {"위원이 접수한 신청", "The member entered the claim"},
	vote.BarredHand:    {"위원이 앞서 심사하거나 결정한 신청", "The member judged or decided the claim before"},
	vote.BarredVoted:   {"이의가 제기된 결정에 표결한 위원", "The member voted on what is objected to"},
}

// Council is how a council decides, in sentences.
func Council(l Lang, c *claims.Council) []string {
	majority := Text{"과반수", "more than half"}
	if c.Majority == claims.TwoThirds {
		majority = Text{"3분의 2 이상", "at least two thirds"}
	}
	bound := Text{"산정 손실", "the assessed loss"}
	if c.AtMost == claims.AtMostSales {
		bound = Text{"매출 손실", "the sales loss"}
	}
	again := Text{"이 위원회의 결정에 대한 이의는 다른 결정 담당자가 봅니다.", "Objections to what it decided are decided by an approver."}
	if c.Objections == claims.CouncilDuty {
		again = Text{
			"이 위원회의 결정에 대한 이의는 처음 표결한 위원을 뺀 위원회가 다시 봅니다.",
			"Objections to what it decided are decided by the council, without those who voted before.",
		}
	}
	pairs := []string{
		"{quorum}",
		strconv.Itoa(c.Quorum),
		"{groups}",
		strconv.Itoa(c.Present),
		"{majority}",
		majority.In(l),
		"{bound}",
		bound.In(l),
		"{from}",
		l.Won(c.From),
	}
	sentences := []Text{
		{"산정 손실이 {from} 이상인 심사는 위원회만 결정합니다.", "Reviews of an assessed loss from {from} on are decided by the council alone."},
		{
			"표결할 수 있는 위원이 {groups}개 이상의 단체에서 {quorum}명 이상 출석하고, 그 {majority}가 찬성하면 결정됩니다. " +
				"가부가 같으면 부결이고, 회피한 위원은 세지 않습니다.",
			"It decides when at least {quorum} members of at least {groups} affiliations are there who may vote, " +
				"and {majority} of them are for it. A tie carries nothing, and a recused member does not count.",
		},
		{"금액은 {bound}을 넘지 않습니다.", "It pays at most {bound}."},
		again,
	}
	out := make([]string, len(sentences))
	for i, t := range sentences {
		out[i] = t.Fill(l, pairs...)
	}
	return out
}

// Says begins the explanation of whoever decided.
func Says(by claims.Duty) Text {
	if by == claims.CouncilDuty {
		return Text{"심의위원회의 설명: ", "The council, which decided by vote, says: "}
	}
	return Text{"담당자의 설명: ", "The person who decided says: "}
}
