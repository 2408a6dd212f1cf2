package audit

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
)

// Print writes the report for people.
func (r *Report) Print(w io.Writer, lang string) {
	t := words(lang)
	fmt.Fprintf(w, "%s: %s\n\n", r.Campaign, r.Title)
	fmt.Fprintf(w, "%s\n\n", r.Sentence(lang))
	rows := r.Rows(lang)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
	}
	fmt.Fprintf(table, "\n%s\t%s\t%s\t%s\t%s\t%s\n", t.partition, t.first, t.checkpoint, t.end, t.records, t.malformed)
	for _, p := range r.Topic.Partitions {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", p.Partition, text.Number(p.First), text.Number(p.Checkpoint),
			text.Number(p.End), text.Number(p.Records), text.Number(p.Malformed))
	}
	table.Flush() //nolint:errcheck // whoever runs the command looks at what it writes to
	for i := range r.Findings {
		f := &r.Findings[i]
		fmt.Fprintf(w, "\n%s", strings.ToUpper(string(f.Kind)))
		if f.Where != "" {
			fmt.Fprintf(w, ", %s", f.Where)
		}
		fmt.Fprintf(w, ": %s (%s)\n", f.What, text.Number(f.Count))
		if len(f.Users) > 0 {
			fmt.Fprintf(w, "  %s%s\n", strings.Join(f.Users, ", "), f.more())
		}
		fmt.Fprintf(w, "  %s\n", f.Do)
	}
}

func (f *Finding) more() string {
	if more := f.Count - int64(len(f.Users)); more > 0 {
		return fmt.Sprintf(" … %s", text.Number(more))
	}
	return ""
}

// Sentence says in one sentence, or two, what the audit came to.
func (r *Report) Sentence(lang string) string {
	t := words(lang)
	out := ""
	switch r.Verdict {
	case Proven:
		out = fmt.Sprintf(t.proven, text.Number(r.Topic.Users), text.Number(r.Topic.Users+r.Topic.Waiting))
	case Refuted:
		out = fmt.Sprintf(t.refuted, text.Number(int64(len(r.Findings))))
	case NotProven:
		out = fmt.Sprintf(t.notProven, text.Number(int64(len(r.Findings))))
	}
	switch {
	case r.Over:
	case r.Topic.Waiting > 0:
		out += " " + fmt.Sprintf(t.waits, text.Number(r.Topic.Waiting))
	default: // whoever is in them has it
		out += " " + t.unread
	}
	if r.unwitnessed() {
		out += " " + t.unwitnessed
	}
	if n := len(r.Rebuilt); n > 0 {
		out += " " + t.remade(&r.Rebuilt[n-1])
	}
	return out
}

// Rows are the counts of the report, each with what it is of.
func (r *Report) Rows(lang string) [][2]string {
	t := words(lang)
	entries := t.entries
	if r.IDs != "" {
		entries = t.entriesOfBuckets
	}
	rows := [][2]string{
		{t.at, r.At.Format(time.RFC3339)},
		{t.by, strings.TrimSpace(r.By + ", granter " + r.Version + ", " + r.Reader)},
		{t.spec, r.Spec},
		{t.topic, r.Topic.Name + " " + r.Topic.ID},
		{t.records, text.Number(r.Topic.Records)},
		{t.users, text.Number(r.Topic.Users)},
		{t.waiting, text.Number(r.Topic.Waiting)},
		{t.granted, fmt.Sprintf(t.grantedBy,
			text.Number(r.Ledger.Granted), text.Number(r.Ledger.ByRun), text.Number(r.Ledger.ByHand))},
		{t.excluded, text.Number(r.Ledger.Excluded)},
		{t.journal, fmt.Sprintf(entries, text.Number(r.Ledger.Entries), text.Number(r.Ledger.Chunks))},
		{t.malformed, fmt.Sprintf(t.letters, text.Number(r.Letters.Malformed), text.Number(r.Letters.Letters), r.Letters.Topic)},
		{t.digestTopic, r.Topic.Digest},
		{t.digestLedger, r.Ledger.Digest},
	}
	if r.Ledger.Excluded > 0 && r.Ledger.GrantedDigest != "" {
		rows = append(rows, [2]string{t.digestGranted, r.Ledger.GrantedDigest})
	}
	if r.Witnesses != nil {
		rows = append(rows, [2]string{t.witnesses, t.saidBy(r.Witnesses)})
	}
	for _, taken := range r.Ledger.Takes {
		says := fmt.Sprintf(t.takenBy, taken.Item, text.Number(taken.Users))
		if taken.First > 0 {
			says += fmt.Sprintf(t.ofFirst, text.Number(taken.First))
		}
		rows = append(rows, [2]string{t.taken, says})
	}
	if r.Ledger.Acted > 0 {
		rows = append(rows, [2]string{t.acted, text.Number(r.Ledger.Acted)})
	}
	if r.Ledger.ByReplay > 0 {
		rows = append(rows, [2]string{t.replayed, text.Number(r.Ledger.ByReplay)})
	}
	if r.Expected > 0 {
		rows = append(rows, [2]string{t.expected, text.Number(r.Expected)})
	}
	return rows
}

// vocabulary is what a report says, in one language.
type vocabulary struct {
	lang, proven, refuted, notProven, waits, unread                            string
	at, by, spec, topic, records, users, waiting, granted, grantedBy, excluded string
	journal, entries, malformed, letters, digestTopic, digestLedger, expected  string
	partition, first, checkpoint, end, heading, findings, partitions, seal     string
	signed, unsigned, printed, before, replayed, entriesOfBuckets              string
	rebuilt, rebuiltFrom, digestGranted, acted, taken, takenBy, ofFirst        string
	unwitnessed, witnesses, nobody, group, reportBefore, deadLetters           string
}

// saidBy names witnesses.
func (t *vocabulary) saidBy(witnesses []Witness) string {
	if len(witnesses) == 0 {
		return t.nobody
	}
	names := make([]string, len(witnesses))
	for i, w := range witnesses {
		names[i] = map[Witness]string{WitnessGroup: t.group, WitnessReport: t.reportBefore, WitnessLetters: t.deadLetters}[w]
	}
	return strings.Join(names, ", ")
}

// remade says that the ledger was made again, and what it lacks since.
func (t *vocabulary) remade(r *grant.Rebuilt) string {
	at := r.At.UTC().Format(time.RFC3339)
	if r.Export == nil {
		return fmt.Sprintf(t.rebuilt, at, r.Who)
	}
	return fmt.Sprintf(t.rebuiltFrom, at, r.Who, r.Export.At.UTC().Format(time.RFC3339))
}

func words(lang string) *vocabulary {
	if lang == "ko" {
		return &korean
	}
	return &english
}

var english = vocabulary{
	lang: "en",
	proven: "PROVEN: all %s users with a record below the checkpoint are granted, each once, and nobody without a record " +
		"(%s users in the topic).",
	refuted:   "NOT TRUE: that everybody is granted, once, is contradicted. Findings: %s.",
	notProven: "NOT PROVEN: nothing contradicts it, and something keeps it from being proven. Findings: %s.",
	waits:     "It is not over: %s users wait to be granted.",
	unread:    "It is not over: no run has read the topic to its end, whose users have it all the same.",
	at:        "audited", by: "by", spec: "spec", topic: "topic", records: "records", users: "users below the checkpoint",
	waiting: "users waiting", granted: "granted", grantedBy: "%s (%s by runs, %s by hand)", excluded: "excluded",
	journal: "journal", entries: "%s entries in %s chunks", entriesOfBuckets: "%s entries in %s buckets", malformed: "malformed",
	letters:     "%s below the checkpoint, %s dead letters in %s",
	digestTopic: "digest of the topic", digestLedger: "digest of the ledger", expected: "expected by the spec",
	partition: "partition", first: "first", checkpoint: "checkpoint", end: "end",
	heading: "Audit report", findings: "Findings", partitions: "Partitions", seal: "Signature",
	signed: "Signed by key", printed: "SHA-256 of the signed report", before: "SHA-256 of the report before",
	unsigned: "This report is not signed.", replayed: "granted by replays of rejected records",
	digestGranted: "digest without the excluded", acted: "users with other acts",
	taken: "taken", takenBy: "%s: %s users", ofFirst: ", of the first %s",
	unwitnessed: "A ledger that was put back to an older state would look the same: Kafka has no offsets of the group, and no " +
		"report of before was given.",
	witnesses: "witnesses of how far it was", nobody: "none but the ledger itself", group: "Kafka's offsets of the group",
	reportBefore: "the report before", deadLetters: "dead letters",
	rebuilt: "The ledger was made again at %s by %s, of the topic alone: what people did about users before (grants by hand, " +
		"exclusions, revocations and other acts), takes, replayed records, orders and the times of grants are not in it.",
	rebuiltFrom: "The ledger was made again at %s by %s, of an export of %s and the rest of the topic: what people did about " +
		"users between the two, takes, replayed records, orders and the times of those grants are not in it.",
}

var korean = vocabulary{
	lang:      "ko",
	proven:    "증명됨: 체크포인트 이전에 기록이 있는 사용자 %s명 모두가 한 번씩 지급받았고, 기록 없이 지급받은 사람은 없습니다(토픽의 사용자 %s명).",
	refuted:   "사실과 다름: 모두에게 한 번씩 지급되었다는 것과 어긋나는 사항이 %s건 있습니다.",
	notProven: "증명되지 않음: 어긋나는 사항은 없으나, 증명을 막는 사항이 %s건 있습니다.",
	waits:     "아직 끝나지 않았습니다: 사용자 %s명이 지급을 기다립니다.",
	unread:    "아직 끝나지 않았습니다: 토픽이 끝까지 읽히지 않았습니다. 남은 레코드의 사용자는 모두 이미 지급받았습니다.",
	at:        "감사 시각", by: "감사자", spec: "명세", topic: "토픽", records: "레코드", users: "체크포인트 이전 사용자",
	waiting: "대기 중인 사용자", granted: "지급", grantedBy: "%s명(자동 %s, 수동 %s)", excluded: "제외",
	journal: "저널", entries: "항목 %s개, 청크 %s개", entriesOfBuckets: "항목 %s개, 버킷 %s개",
	malformed: "잘못된 레코드", letters: "체크포인트 이전 %s건, 데드레터 %s건(%s)",
	digestTopic: "토픽 다이제스트", digestLedger: "원장 다이제스트", expected: "명세의 예상 인원",
	partition: "파티션", first: "처음", checkpoint: "체크포인트", end: "끝",
	heading: "감사 보고서", findings: "발견 사항", partitions: "파티션", seal: "서명",
	signed: "서명 키", printed: "서명된 보고서의 SHA-256", before: "이전 보고서의 SHA-256",
	unsigned: "이 보고서는 서명되지 않았습니다.", replayed: "거부된 레코드의 재처리로 지급",
	digestGranted: "제외자를 뺀 원장 다이제스트", acted: "그 밖의 조치가 있는 사용자",
	taken: "수령", takenBy: "%s: %s명", ofFirst: "(선착순 %s명)",
	unwitnessed: "원장이 이전 상태로 되돌려졌더라도 똑같이 보입니다. Kafka에 그룹의 오프셋이 없고, 이전 보고서도 주어지지 않았습니다.",
	witnesses:   "원장의 진행을 뒷받침하는 것", nobody: "원장 자체 외에 없음", group: "Kafka의 그룹 오프셋",
	reportBefore: "이전 보고서", deadLetters: "데드레터",
	rebuilt: "이 원장은 %s에 %s 님이 토픽만으로 다시 만들었습니다. 그 전의 수동 지급, 제외, 회수 등의 조치와 수령, 재처리, 명령, 지급 시각은 " +
		"들어 있지 않습니다.",
	rebuiltFrom: "이 원장은 %s에 %s 님이 %s의 내보내기 파일과 그 이후의 토픽으로 다시 만들었습니다. 그 사이의 수동 지급, 제외, 회수 등의 조치와 " +
		"수령, 재처리, 명령, 지급 시각은 들어 있지 않습니다.",
}
