//go:build integration

package main

import (
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
	conns  map[net.Conn]struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: listener.Addr().String(), listener: listener, to: to, frozen: make(chan struct{}), conns: map[net.Conn]struct{}{}}
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
	wg.Go(func() { p.copy(to, from) })
	wg.Go(func() { p.copy(from, to) })
	wg.Wait()
}

func (p *proxy) copy(dst, src net.Conn) {
	defer dst.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		<-frozen
		if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
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
