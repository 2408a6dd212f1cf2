package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlp sends spans by OTLP over HTTP. It is OpenTelemetry's own exporter but for the transport: that of the library
// brings gRPC into the binary, which is larger than granter. A batch that fails is lost, and said to be; the next one is
// tried again.
type otlp struct {
	url    string
	client http.Client
}

// newOTLP sends to a URL: where it has no path, to that of OTLP.
func newOTLP(to url.URL) *otlp {
	if strings.Trim(to.Path, "/") == "" {
		to.Path = "/v1/traces"
	}
	return &otlp{url: to.String(), client: http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}}
}

// Start does nothing: a collector that is down costs traces only.
func (*otlp) Start(context.Context) error { return nil }

// Stop closes the connections.
func (o *otlp) Stop(context.Context) error {
	o.client.CloseIdleConnections()
	return nil
}

// UploadTraces sends one request. On the wire TracesData is the ExportTraceServiceRequest, whose package imports gRPC.
func (o *otlp) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := o.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s %.200q", o.url, resp.Status, text)
	}
	return err
}
