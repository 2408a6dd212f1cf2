package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// asked is what a child process that asks prints.
type asked struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Total     float64 `json:"total"` // users
	CPU       float64 `json:"-"`     // of the server, µs a user
	Server99  float64 `json:"-"`     // the 99th percentile of the server's own times, ms; 0: it does not tell
}

// ask loads a server with checks of random users over connections that are kept alive. It speaks HTTP/1.1 itself, so that it
// takes
// as little of the machine as a load generator can.
func ask(args []string) error {
	f := flag.NewFlagSet("ask", flag.ContinueOnError)
	addr := f.String("addr", "", "host:port")
	path := f.String("path", "/api/v1/entitlements/%s/cheer-up-90d", "with %s for the user")
	token := f.String("token", "", "who asks")
	file := f.String("tokens", "", "a file of tokens, one a line, one of which asks each time: what one may ask is limited")
	body := f.String("body", "", "JSON to post; without it the requests are GET")
	users := f.Uint64("users", 1, "IDs from 0 to this")
	list := f.String("ids", "", "a file of IDs, one a line, in place of numbers")
	conns := f.Int("conns", 64, "connections")
	rate := f.Float64("rate", 0, "requests a second, each due at its time; 0: each connection asks as fast as it is answered")
	length := f.Duration("for", 5*time.Second, "how long")
	if err := f.Parse(args); err != nil {
		return err
	}
	tokens := []string{*token}
	if *file != "" {
		text, err := os.ReadFile(*file)
		if err != nil {
			return err
		}
		tokens = strings.Fields(string(text))
	}
	var ids []string
	if *list != "" {
		text, err := os.ReadFile(*list)
		if err != nil {
			return err
		}
		ids = strings.Fields(string(text))
	}
	user := func() string {
		if *list != "" {
			return ids[rand.IntN(len(ids))]
		}
		return strconv.FormatUint(rand.Uint64N(*users), 10)
	}
	method, rest := "GET", "\r\n"
	if *body != "" {
		method = "POST"
		rest = fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(*body), *body)
	}
	until := time.Now().Add(*length)
	took := make([][]time.Duration, *conns)
	var all errgroup.Group
	for i := range took {
		all.Go(func() error {
			conn, err := net.Dial("tcp", *addr)
			if err != nil {
				return err
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			var request []byte
			due := time.Now()
			gap := time.Duration(0)
			if *rate > 0 {
				gap = time.Duration(float64(*conns) / *rate * float64(time.Second))
				due = due.Add(time.Duration(rand.Int64N(int64(gap))))
			}
			for {
				if gap > 0 {
					<-time.After(time.Until(due))
				} else {
					due = time.Now()
				}
				if due.After(until) {
					return nil
				}
				request = fmt.Appendf(request[:0], method+" "+*path+" HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n%s",
					user(), tokens[rand.IntN(len(tokens))], rest)
				if _, err := conn.Write(request); err != nil {
					return err
				}
				if err := readAnswer(answers); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(due))
				due = due.Add(gap)
			}
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	times, err := timesOf(slices.Concat(took...))
	if err != nil {
		return err
	}
	times.PerSecond = times.Total / length.Seconds()
	return json.NewEncoder(os.Stdout).Encode(times)
}

// timesOf says how many requests there were, and how long they took.
func timesOf(took []time.Duration) (asked, error) {
	if len(took) == 0 {
		return asked{}, errors.New("nothing was answered")
	}
	slices.Sort(took)
	ms := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))]) / float64(time.Millisecond)
	}
	return asked{P50: ms(0.5), P99: ms(0.99), Total: float64(len(took))}, nil
}

// readAnswer reads a good answer that says how long it is.
func readAnswer(r *bufio.Reader) error {
	length, first := -1, true
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("the server answers %s", bytes.TrimSpace(line))
		}
		first = false
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err := r.Discard(max(length, 0))
	return err
}

// askLists asks about lists of random users, one after the other.
func askLists(args []string) error {
	f := flag.NewFlagSet("lists", flag.ContinueOnError)
	addr := f.String("addr", "", "host:port")
	item := f.String("item", "cheer-up-90d", "the item")
	token := f.String("token", "", "who asks")
	users := f.Uint64("users", 1, "IDs from 0 to this")
	size := f.Int("size", 1<<20, "users of a list")
	lists := f.Int("lists", 10, "lists")
	if err := f.Parse(args); err != nil {
		return err
	}
	body := make([]byte, 0, 8**size)
	for range *size {
		body = binary.BigEndian.AppendUint64(body, rand.Uint64N(*users))
	}
	var took []time.Duration
	began := time.Now()
	for range *lists {
		at := time.Now()
		r, err := http.NewRequest(http.MethodPost, "http://"+*addr+"/api/v1/checks/"+*item, bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+*token)
		r.Header.Set("Content-Type", "application/octet-stream")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || len(answer) != *size {
			return fmt.Errorf("%s: %d answers: %w", response.Status, len(answer), err)
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	seconds := time.Since(began).Seconds()
	return json.NewEncoder(os.Stdout).Encode(asked{
		PerSecond: float64(*size**lists) / seconds, Total: float64(*size * *lists),
		P50: took[len(took)/2].Seconds() * 1000, P99: took[len(took)-1].Seconds() * 1000,
	})
}

// bare is the least that a server which checks users can do: a GETBIT for each request, without token, campaigns or times; with
// -share, requests that arrive together share a pipeline.
func bare(args []string) error {
	f := flag.NewFlagSet("bare", flag.ContinueOnError)
	addr := f.String("redis", "", "Redis")
	campaign := f.String("campaign", "bench", "whose bits")
	share := f.Bool("share", false, "pipelines that are shared")
	if err := f.Parse(args); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: *addr, PoolSize: 16, Protocol: 2})
	defer client.Close()
	asks := make(chan bareAsk, 4096)
	if *share {
		for range 2 {
			go sharePipelines(client, asks)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/entitlements/{user}/{item}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseUint(r.PathValue("user"), 10, 64)
		if err != nil {
			http.Error(w, "user", http.StatusBadRequest)
			return
		}
		key := "granter:{" + *campaign + "/" + strconv.FormatUint(id>>16, 10) + "}:granted"
		var bit int64
		if *share {
			one := bareAsk{key, int64(id & 0xffff), make(chan int64, 1)}
			asks <- one
			bit = <-one.bit
		} else {
			bit = client.GetBit(r.Context(), key, int64(id&0xffff)).Val()
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"user":"%d","item":%q,"active":%v}`, id, r.PathValue("item"), bit == 1)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return (&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

type bareAsk struct {
	key string
	low int64
	bit chan int64
}

// sharePipelines sends whatever has gathered, again and again.
func sharePipelines(client *redis.Client, asks chan bareAsk) {
	for first := range asks {
		batch := []bareAsk{first}
		for more := true; more && len(batch) < 512; {
			select {
			case another := <-asks:
				batch = append(batch, another)
			default:
				more = false
			}
		}
		pipe := client.Pipeline()
		bits := make([]*redis.IntCmd, len(batch))
		for i, one := range batch {
			bits[i] = pipe.GetBit(context.Background(), one.key, one.low)
		}
		_, _ = pipe.Exec(context.Background()) // what failed answers as if nobody had anything
		for i, one := range batch {
			one.bit <- bits[i].Val()
		}
	}
}
