package hooks

import (
	"fmt"
	"time"

	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

// alert is something that somebody should look at.
type alert struct {
	cause, en, ko, detail string
	after                 time.Duration // for how long it has to last
}

// alerts are those of an outlook. They are what a status shows; those by rates and plans are Prometheus's.
func (o *outlook) alerts() (out []alert) {
	add := func(on bool, cause, en, ko, detail string, after time.Duration) {
		if on {
			out = append(out, alert{cause, en, ko, detail, after})
		}
	}
	add(o.Phase == status.PhaseIdle && o.ToGo() > 0 && !o.now.Before(o.StartsAt), "nobody_runs",
		fmt.Sprintf("nobody runs, and %s records are left: start granter run", text.Number(o.ToGo())),
		fmt.Sprintf("실행 중인 granter가 없고 레코드 %s건이 남았습니다", text.Number(o.ToGo())), "", quiet)
	add(o.lost > 0, "replica_lost", fmt.Sprintf("%d replicas fell silent and are not replaced", o.lost),
		fmt.Sprintf("복제본 %d개가 응답하지 않습니다", o.lost), "", settle)
	add(o.Damage != "", "ledger_damaged", "the ledger contradicts itself: granter status --prove", "장부에 모순이 있습니다", o.Damage, 0)
	add(o.TopicChanged != "", "topic_changed", "the topic is not the one that was read", "토픽이 바뀌었습니다", o.TopicChanged, 0)
	add(o.Gone > 0, "gap", fmt.Sprintf("%s records were removed before they were granted", text.Number(o.Gone)),
		fmt.Sprintf("레코드 %s건이 지급 전에 삭제되었습니다", text.Number(o.Gone)), "", 0)
	rejected := int64(0)
	for _, n := range o.Rejects {
		rejected += n
	}
	add(rejected > 0 && rejected*1000 > o.Records, "rejects",
		fmt.Sprintf("%s records have no valid user ID", text.Number(rejected)),
		fmt.Sprintf("사용자 ID가 올바르지 않은 레코드가 %s건입니다", text.Number(rejected)), "", settle)
	kafka := o.Of(status.PartKafka).Error
	add(kafka != "", "kafka_unavailable", "Kafka does not answer", "Kafka가 응답하지 않습니다", kafka, 2*settle)
	return out
}
