//go:build integration

package main

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/granter/granter/deploy/dev/devtest"
)

// prepare builds the binary as users get it; with the race detector if these tests have it.
func prepare() (stop func()) {
	dir, err := os.MkdirTemp("", "granter-binary-")
	if err == nil {
		args := []string{"build", "-trimpath", "-o", filepath.Join(dir, "granter")}
		if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, ".")...)
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err == nil {
		err = os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	if err != nil {
		slog.Error("building granter failed", "error", err)
		os.Exit(1)
	}
	return func() {
		devtest.StopShared()
		_ = os.RemoveAll(dir)
	}
}
