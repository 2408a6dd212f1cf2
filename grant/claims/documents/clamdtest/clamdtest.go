// Package clamdtest has a malware scanner that speaks the protocol of ClamAV's daemon, for tests and demonstrations.
package clamdtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// EICAR is the text that every scanner takes for malware, and that harms nobody.
const EICAR = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// MaxStream is the largest stream that it takes, in bytes: the daemon's default.
const MaxStream = 25 << 20

// Server is a scanner that knows one malware: whatever holds EICAR.
type Server struct {
	listener net.Listener
	wg       sync.WaitGroup
	away     atomic.Bool
}

// Start serves on a free port of the loopback.
func Start() (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l}
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer conn.Close()
				if !s.away.Load() {
					s.serve(conn)
				}
			})
		}
	})
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Away makes it hang up on everybody.
func (s *Server) Away(away bool) { s.away.Store(away) }

// Close ends it.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.wg.Wait()
	return err
}

func (*Server) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	command, err := r.ReadString(0)
	if err != nil {
		return
	}
	answer := "UNKNOWN COMMAND"
	switch command {
	case "zPING\x00":
		answer = "PONG"
	case "zINSTREAM\x00":
		if answer, err = stream(r); err != nil {
			return
		}
	}
	_, _ = io.WriteString(conn, answer+"\x00") // whoever asked may be gone
}

// stream reads chunks, each behind its size, up to an empty one.
func stream(r io.Reader) (string, error) {
	var all bytes.Buffer
	for {
		var size uint32
		if err := binary.Read(r, binary.BigEndian, &size); err != nil {
			return "", err
		}
		switch {
		case size == 0 && bytes.Contains(all.Bytes(), []byte(EICAR)):
			return "stream: Eicar-Test-Signature FOUND", nil
		case size == 0:
			return "stream: OK", nil
		case all.Len()+int(size) > MaxStream:
			return "INSTREAM size limit exceeded. ERROR", nil
		}
		if _, err := io.CopyN(&all, r, int64(size)); err != nil {
			return "", err
		}
	}
}
