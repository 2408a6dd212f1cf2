package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

func schema(ctx context.Context, url, name string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE SCHEMA "+name)
	return err
}

// size is how much a database takes on disk, in bytes.
func size(ctx context.Context, where string) (n int64, err error) {
	if !strings.Contains(where, "://") {
		info, err := os.Stat(where)
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	db, err := sql.Open("pgx", where)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, "SELECT SUM(pg_total_relation_size(c.oid)) FROM pg_class AS c "+
		"WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())").Scan(&n)
	return n, err
}

// each is processor time for each of so many, in microseconds; empty: it was not measured.
func each(seconds float64, n int) string {
	if seconds == 0 || n == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", seconds/float64(n)*1e6)
}

// ticks is how many parts of a second Linux counts processor time in.
const ticks = 100

// sessions is the processor time of a server's sessions that have ended, in seconds; 0: there is no server, or no Linux.
func sessions(server int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server))
	_, fields, ok := strings.Cut(string(text), ") ")
	words := strings.Fields(fields)
	const user, system = 13, 14 // of children that were waited for; proc(5) counts from 1, and two are cut off
	if err != nil || !ok || len(words) <= system {
		return 0
	}
	a, errA := strconv.ParseFloat(words[user], 64)
	b, errB := strconv.ParseFloat(words[system], 64)
	if errA != nil || errB != nil {
		return 0
	}
	return (a + b) / ticks
}

// sessionsSince is what sessions have taken since, when those of a client that has gone have ended, too.
func sessionsSince(server int, before float64) float64 {
	after := sessions(server)
	for until := time.Now().Add(5 * time.Second); after == before && server > 0 && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond)
		after = sessions(server)
	}
	return after - before
}
