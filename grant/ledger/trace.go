package ledger

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/granter/granter/sharding/dense"
)

// tracer makes the spans of flushes and lookups. Unless the process sets a provider they cost nothing.
var tracer = otel.Tracer("github.com/granter/granter/grant/ledger")

// traceFlush begins the span of a flush. Who is granted is not in it: traces go to where user IDs do not belong.
func (l *Grants) traceFlush(ctx context.Context, f *dense.Flush) (context.Context, trace.Span) {
	ctx, span := tracer.Start(ctx, "ledger.grant")
	if span.IsRecording() {
		members := 0
		for i := range f.Deltas {
			members += f.Deltas[i].Count
		}
		span.SetAttributes(
			attribute.String("granter.campaign", l.campaign.Name), attribute.String("granter.run", l.run.String()),
			attribute.Int("granter.shard", f.Shard), attribute.Int64("granter.flush", int64(f.Seq)),
			attribute.Int("granter.chunks", len(f.Deltas)), attribute.Int("granter.users", members),
		)
	}
	return ctx, span
}

// recordError records in a span what went wrong; nothing, if err is nil.
func recordError(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(otelcodes.Error, Kind(err))
	}
}
