package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

const otlpHelp = "URL that OpenTelemetry traces of flushes and lookups are sent to (OTLP over HTTP), " +
	"such as http://127.0.0.1:4318, which means its /v1/traces; default: none are made"

// traceGrace is how long the last spans may take to be sent. A collector that is down must not hold a run up.
const traceGrace = 2 * time.Second

// startTracing sends traces to a URL; an empty one is none. The function that it returns sends the last ones. A collector
// that does not answer costs traces, never grants.
func startTracing(ctx context.Context, to string, log *slog.Logger) (stop func(), err error) {
	if to == "" {
		return func() {}, nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageError(fmt.Errorf("--otlp %q: want http://host:port or https://host:port", to))
	}
	exporter, err := otlptrace.New(ctx, newOTLP(*u))
	if err != nil {
		return nil, usageError(fmt.Errorf("--otlp %s: %w", to, err))
	}
	failed := false
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if !failed { // one line: it would be said every few seconds
			failed = true
			log.Warn("traces cannot be sent", "to", to, "error", err)
		}
	}))
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "granter"), attribute.String("service.version", version))))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceGrace)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last traces were not sent", "to", to, "error", err)
		}
	}, nil
}
