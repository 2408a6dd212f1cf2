//go:build demo

package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// opener is the program by which this machine opens an address in a browser; nil: there is none, or nobody would see it.
func opener() []string {
	words := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		words = []string{"open"}
	case "windows":
		words = []string{"rundll32", "url.dll,FileProtocolHandler"}
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return nil // xdg-open would take a browser for the terminal
		}
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil
	}
	return words
}

// openPages opens addresses in a browser, as soon as each is served. What cannot be opened was printed.
func openPages(ctx context.Context, with []string, addresses ...string) {
	for _, address := range addresses {
		if !isServed(ctx, address) {
			return
		}
		args := append(append([]string{}, with[1:]...), address)
		_ = exec.CommandContext(ctx, with[0], args...).Run() //nolint:gosec // the program was chosen above, the address is ours
	}
}

// isServed waits for a while until something answers at an address.
func isServed(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
		if err != nil {
			return false
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close() // it has no body
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
}
