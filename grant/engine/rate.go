package engine

import "time"

// rateWindow is the time over which the rate is averaged.
const rateWindow = 5 * time.Second

// rate is how fast a counter grows, from its values of the last few seconds.
type rate struct{ samples []rateSample }

type rateSample struct {
	at    time.Time
	count int64
}

func (r *rate) add(at time.Time, count int64) {
	r.samples = append(r.samples, rateSample{at, count})
	for len(r.samples) > 2 && at.Sub(r.samples[0].at) > rateWindow {
		r.samples = r.samples[1:]
	}
}

// perSecond is 0 when nothing has been added for a while: the last samples say nothing about now.
func (r *rate) perSecond() float64 {
	if len(r.samples) < 2 {
		return 0
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	took := last.at.Sub(first.at)
	if took <= 0 || time.Since(last.at) > rateWindow {
		return 0
	}
	return float64(last.count-first.count) / took.Seconds()
}
