package source

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// directory asks any broker what any broker knows, on a connection that is kept. It is safe for concurrent use.
type directory struct {
	kafka Kafka
	turn  chan struct{} // holds a token while somebody asks

	conn  *conn
	known []string // addresses of the brokers, as they last said
	next  int      // which address to try when there is no connection
}

func newDirectory(k Kafka) *directory { return &directory{kafka: k, turn: make(chan struct{}, 1)} }

// ask puts a question to the broker of the connection, or to whichever can be reached.
func (d *directory) ask(ctx context.Context, q kmsg.Request, newest int16) (resp kmsg.Response, err error) {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-d.turn }()
	places := slices.Clone(d.kafka.Brokers)
	for _, address := range d.known {
		if !slices.Contains(places, address) {
			places = append(places, address)
		}
	}
	for range len(places) + 1 { // the connection may be one that the broker has closed
		if resp, err = d.try(ctx, places, q, newest); err == nil || ctx.Err() != nil {
			return resp, err
		}
		if _, again := Classify(err); !again {
			return nil, err
		}
	}
	return nil, err
}

func (d *directory) try(ctx context.Context, places []string, q kmsg.Request, newest int16) (kmsg.Response, error) {
	if d.conn == nil {
		address := places[d.next%len(places)]
		c, err := d.kafka.dial(ctx, address)
		if err != nil {
			d.next++
			return nil, fmt.Errorf("connecting to %s: %w", address, err)
		}
		d.conn = &conn{Conn: c, timeout: d.kafka.timeout()}
	}
	resp, err := d.conn.ask(ctx, q, newest)
	if err != nil {
		d.hangUp()
		return nil, err
	}
	if meta, ok := resp.(*kmsg.MetadataResponse); ok && len(meta.Brokers) > 0 {
		d.known = d.known[:0]
		for i := range meta.Brokers {
			d.known = append(d.known, brokerAddress(&meta.Brokers[i]))
		}
	}
	return resp, nil
}

func brokerAddress(b *kmsg.MetadataResponseBroker) string {
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

// hangUp closes the connection; the next question goes to another broker. It is called by whoever has the turn.
func (d *directory) hangUp() {
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
		d.next++
	}
}

// close closes the connection.
func (d *directory) close() { d.other(context.Background()) }

// other makes the next question go to another broker.
func (d *directory) other(ctx context.Context) {
	select {
	case d.turn <- struct{}{}:
		d.hangUp()
		<-d.turn
	case <-ctx.Done():
	}
}

// peer returns the connection to one broker, for what only that one can answer.
func (s *Source) peer(address string) *directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[address] == nil {
		k := s.cfg.Kafka
		k.Brokers = []string{address}
		s.peers[address] = newDirectory(k)
	}
	return s.peers[address]
}
