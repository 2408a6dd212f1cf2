package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// An Error is an answer of a registry that is none to the question.
type Error struct {
	URL     string
	Status  int
	Code    int // the registry's own; 0: it is none of a registry
	Message string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.URL, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		text += " (are --registry-user and GRANTER_REGISTRY_PASSWORD, or GRANTER_REGISTRY_TOKEN, right?)"
	case e.Status == http.StatusNotFound && e.Code == 0:
		text += " (is source.registry the address of a schema registry?)"
	case e.Status >= 300 && e.Status < 400:
		text += " (write the address that it sends to, under source.registry or as --registry)"
	}
	return text
}

// Is makes ErrUnknown of what registries say of a schema, a subject or a version that they do not have.
func (e *Error) Is(target error) bool {
	return target == ErrUnknown && e.Status == http.StatusNotFound && e.Code/100 == http.StatusNotFound && e.Code%100 > 0
}

// Temporary reports whether the same question may get an answer later.
func Temporary(err error) bool {
	var of *Error
	var useless *UnusableError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case err == nil, errors.Is(err, ErrUnknown), errors.As(err, &useless), errors.As(err, &certificate), errors.As(err,
		&authority):
		return false
	case errors.As(err, &of):
		return of.Status >= 500 || of.Status == http.StatusTooManyRequests || of.Status == http.StatusRequestTimeout
	}
	return !errors.Is(err, context.Canceled)
}

// transport makes errors of all answers but good ones.
type transport struct{ base *http.Transport }

// maxMessage is how much of an answer is read that is no good one.
const maxMessage = 2 << 10

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		resp.Body = &bounded{resp.Body, mostBytes}
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	if err != nil {
		return nil, err
	}
	var says struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &says) != nil && len(body) < maxMessage/4 {
		says.Message = strings.Join(strings.Fields(string(body)), " ")
	}
	return nil, &Error{URL: req.URL.Redacted(), Status: resp.StatusCode, Code: says.Code, Message: says.Message}
}

// CloseIdleConnections is what http.Client looks for.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// bounded is an answer of so many bytes at most: a longer one is an error, and not a part of an answer.
type bounded struct {
	io.ReadCloser

	left int
}

var errTooLong = &UnusableError{fmt.Sprintf("the registry's answer has more than %d MiB", mostBytes>>20)}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
