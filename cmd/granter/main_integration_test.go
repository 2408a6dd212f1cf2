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

// binaries is a folder for what these tests build.
var binaries string

// prepare builds the binary that these tests start, of the packages that they are compiled of; with the race detector if they have it.
func prepare() (stop func()) {
	dir, err := os.MkdirTemp("", "granter-binary-")
	binaries = dir
	if err == nil {
		args := []string{"build", "-o", filepath.Join(dir, "granter")}
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
