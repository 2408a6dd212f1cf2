package documents

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"
)

// Clamd asks the daemon of ClamAV, at host:port or at the path of a socket.
type Clamd string

const (
	clamdPatience = 30 * time.Second
	clamdChunk    = 64 << 10
)

// Scan implements Scanner, by INSTREAM: the daemon needs no access to any file.
func (c Clamd) Scan(ctx context.Context, data []byte) (string, error) {
	answer, err := c.ask(ctx, "zINSTREAM\x00", data)
	if err != nil {
		return "", fmt.Errorf("the malware scanner does not answer: %w", err)
	}
	said := strings.TrimPrefix(answer, "stream: ")
	switch {
	case said == "OK":
		return "", nil
	case strings.HasSuffix(said, " FOUND"):
		return strings.TrimSuffix(said, " FOUND"), nil
	default:
		return "", fmt.Errorf("the malware scanner could not look: %.200s", answer)
	}
}

// Ping returns whether the daemon is there.
func (c Clamd) Ping(ctx context.Context) error {
	answer, err := c.ask(ctx, "zPING\x00", nil)
	if err == nil && answer != "PONG" {
		err = fmt.Errorf("it answers %.80q", answer)
	}
	if err != nil {
		return fmt.Errorf("the malware scanner at %s: %w", string(c), err)
	}
	return nil
}

func (c Clamd) ask(ctx context.Context, command string, data []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clamdPatience)
	defer cancel()
	network := "tcp"
	if strings.HasPrefix(string(c), "/") {
		network = "unix"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, string(c))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	w := bufio.NewWriter(conn)
	_, err = w.WriteString(command)
	if data != nil {
		var size [4]byte
		for at := 0; at < len(data) && err == nil; at += clamdChunk {
			part := data[at:min(at+clamdChunk, len(data))]
			binary.BigEndian.PutUint32(size[:], uint32(len(part)))
			if _, err = w.Write(size[:]); err == nil {
				_, err = w.Write(part)
			}
		}
		if err == nil {
			_, err = w.Write([]byte{0, 0, 0, 0})
		}
	}
	if err == nil {
		err = w.Flush()
	}
	// A daemon that refuses what it gets answers, and closes, before it has read all of it.
	answer, readErr := bufio.NewReader(conn).ReadString(0)
	if readErr != nil {
		if err == nil {
			err = readErr
		}
		return "", err
	}
	return strings.TrimSuffix(answer, "\x00"), nil
}
