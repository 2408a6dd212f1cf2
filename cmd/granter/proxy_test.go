//go:build integration

package main

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy forwards connections to an address that may change: what a service address does on fail-over.
type proxy struct {
	addr     string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	to     string
	frozen chan struct{} // closed: bytes flow
	only   string        // not empty: of the client's bytes, only those with this text are held
	held   int           // how often something was held
	conns  map[net.Conn]struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{
		addr: listener.Addr().String(), listener: listener, to: to, frozen: make(chan struct{}), conns: map[net.Conn]struct{}{},
	}
	close(p.frozen)
	p.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.forward(conn) })
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *proxy) forward(from net.Conn) {
	defer from.Close()
	p.mu.Lock()
	to, err := net.Dial("tcp", p.to)
	if err == nil {
		p.conns[from], p.conns[to] = struct{}{}, struct{}{}
	}
	p.mu.Unlock()
	if err != nil {
		return
	}
	defer to.Close()
	var wg sync.WaitGroup
	wg.Go(func() { p.copy(to, from, true) })
	wg.Go(func() { p.copy(from, to, false) })
	wg.Wait()
}

func (p *proxy) copy(dst, src net.Conn, fromClient bool) {
	defer dst.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		<-p.gate(buf[:n], fromClient)
		if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// gate returns what some bytes wait for.
func (p *proxy) gate(data []byte, fromClient bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.only == "" {
		return p.frozen
	}
	if !fromClient || !bytes.Contains(data, []byte(p.only)) {
		return flows
	}
	p.held++
	return p.frozen
}

// flows is closed.
var flows = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// hold keeps calls with a text on their way until release, and reports whether there are some.
func (p *proxy) hold(text string) (some func() bool) {
	p.freeze()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.only = text
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.held > 0
	}
}

// release lets everything flow again; what was held arrives now.
func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.only = ""
	close(p.frozen)
}

// freeze keeps connections open and forwards nothing any more.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

// drop closes all connections; what is under way is lost.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
	select {
	case <-p.frozen:
	default:
		close(p.frozen)
	}
}

// redirect sends everybody to another address.
func (p *proxy) redirect(to string) {
	p.mu.Lock()
	p.to = to
	p.mu.Unlock()
	p.drop()
}

func (p *proxy) close() {
	p.listener.Close()
	p.drop()
	p.wg.Wait()
}
