package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The kinds of error, as Kind returns them and metrics count them.
const (
	KindReadOnly    = "readonly"
	KindLoading     = "loading"
	KindClusterDown = "clusterdown"
	KindTryAgain    = "tryagain"
	KindMoved       = "moved"
	KindMasterDown  = "masterdown"
	KindOOM         = "oom"
	KindMisconf     = "misconf"
	KindNoReplicas  = "noreplicas"
	KindNoScript    = "noscript"
	KindBusy        = "busy"
	KindMaxClients  = "maxclients"
	KindTimeout     = "timeout"
	KindNetwork     = "network"
	KindAuth        = "auth"
	KindNoPerm      = "noperm"
	KindRegressed   = "regressed"
	KindFenced      = "fenced"
	KindOther       = "other"
)

// Kinds are all kinds of error, for metrics that want to start at zero.
var Kinds = []string{
	KindReadOnly, KindLoading, KindClusterDown, KindTryAgain, KindMoved, KindMasterDown, KindOOM, KindMisconf,
	KindNoReplicas, KindNoScript, KindBusy, KindMaxClients, KindTimeout, KindNetwork, KindAuth, KindNoPerm,
	KindRegressed, KindFenced, KindOther,
}

// codes are the words that error replies begin with.
var codes = []struct{ code, kind string }{
	{"READONLY", KindReadOnly},
	{"LOADING", KindLoading},
	{"CLUSTERDOWN", KindClusterDown},
	{"TRYAGAIN", KindTryAgain},
	{"MOVED", KindMoved},
	{"ASK", KindMoved},
	{"MASTERDOWN", KindMasterDown},
	{"OOM", KindOOM},
	{"MISCONF", KindMisconf},
	{"NOREPLICAS", KindNoReplicas},
	{"NOSCRIPT", KindNoScript},
	{"BUSY", KindBusy},
	{"NOAUTH", KindAuth},
	{"WRONGPASS", KindAuth},
	{"NOPERM", KindNoPerm},
	{"FENCED", KindFenced},
}

// Kind says what an error of Redis means, in bounded words; the empty string for nil.
func Kind(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrRegressed):
		return KindRegressed
	}
	if reply, ok := errors.AsType[redis.Error](err); ok {
		return replyKind(reply.Error())
	}
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed):
		return KindOther
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, os.ErrDeadlineExceeded),
		isNetwork && network.Timeout():
		return KindTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		isNetwork, strings.Contains(err.Error(), "sentinels specified in configuration are unreachable"):
		return KindNetwork
	case strings.Contains(err.Error(), "cluster has no nodes"):
		return KindClusterDown
	}
	return KindOther
}

func replyKind(text string) string {
	text = strings.TrimPrefix(text, "ERR ")
	for _, c := range codes {
		if strings.HasPrefix(text, c.code+" ") {
			return c.kind
		}
	}
	// Up to Redis 6 an error inside a script is "ERR Error running script (call to …): …: -OOM command not allowed …".
	for _, c := range codes {
		if strings.Contains(text, "-"+c.code+" ") {
			return c.kind
		}
	}
	switch {
	case strings.HasPrefix(text, "The user executing the script can't"): // Redis 7, inside a script
		return KindNoPerm
	case strings.HasPrefix(text, "max number of clients"):
		return KindMaxClients
	case strings.HasPrefix(text, "AUTH "), strings.HasPrefix(text, "invalid password"), strings.HasPrefix(text, "Client sent AUTH"):
		return KindAuth
	}
	return KindOther
}

// Retryable reports whether an error of this kind may go away by itself.
func Retryable(kind string) bool {
	switch kind {
	case KindAuth, KindNoPerm, KindRegressed, KindFenced, KindOther:
		return false
	}
	return true
}

// Hint says what an operator can do about an error of this kind; empty when there is nothing to say.
func Hint(kind string) string {
	switch kind {
	case KindReadOnly:
		return "this is a replica: point the granter at the master, at Sentinel or at the cluster"
	case KindLoading:
		return "Redis is still loading its data: wait, or allow more time"
	case KindClusterDown:
		return "some slots have no master: see CLUSTER INFO and CLUSTER NODES"
	case KindTryAgain, KindMoved:
		return "slots are moving between masters: finish the resharding"
	case KindMasterDown:
		return "this replica lost its master: see INFO replication"
	case KindOOM:
		return "Redis reached maxmemory: raise maxmemory (CONFIG SET maxmemory …), the granter then goes on"
	case KindMisconf:
		return "Redis cannot save to disk and refuses writes: free the disk, see its log"
	case KindNoReplicas:
		return "fewer replicas than min-replicas-to-write are in sync: repair replication"
	case KindBusy:
		return "a script blocks Redis: see the slow log, or SCRIPT KILL"
	case KindMaxClients:
		return "raise maxclients, or use a smaller pool"
	case KindTimeout:
		return "Redis does not answer in time: look for slow commands, swapping or a stopped process"
	case KindNetwork:
		return "cannot reach Redis: check that it runs, its address, and firewalls"
	case KindAuth:
		return "check user name and password"
	case KindFenced:
		return "nothing may be granted by this run now: the time of the campaign, or its spec, does not allow it"
	case KindNoPerm:
		return "the ACL of this user forbids a command or key: see ACL LOG; it needs the keys granter:*, their commands and EVALSHA"
	}
	return ""
}

// UnavailableError is returned when Redis refused an operation for good, or for longer than the ledger waits.
type UnavailableError struct {
	What     string    // the operation
	Kind     string    // the last kind of error
	Since    time.Time // of the first failed attempt
	Attempts int
	Err      error // the last error
}

func (e *UnavailableError) Error() string {
	s := e.What + ": "
	if e.Attempts > 1 {
		s += fmt.Sprintf("Redis refuses since %s (%d attempts): ", e.Since.Format(time.RFC3339), e.Attempts)
	}
	s += e.Err.Error()
	if hint := Hint(e.Kind); hint != "" {
		s += " (" + hint + ")"
	}
	return s
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// Temporary reports whether another attempt may succeed.
func (e *UnavailableError) Temporary() bool { return Retryable(e.Kind) }

// misused reports whether an error says that a key is not what it should be: somebody wrote to it.
func misused(err error) bool {
	reply, ok := errors.AsType[redis.Error](err)
	return ok && strings.HasPrefix(reply.Error(), "WRONGTYPE ") || errors.Is(err, ErrInconsistent)
}

// named adds the key to the error of a pipeline in which each command has one key. redis.Nil is no error.
func named[C redis.Cmder](cmds []C, err error) error {
	for _, cmd := range cmds {
		if e := cmd.Err(); e != nil && !errors.Is(e, redis.Nil) {
			return fmt.Errorf("%v: %w", cmd.Args()[min(1, len(cmd.Args())-1)], e)
		}
	}
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
