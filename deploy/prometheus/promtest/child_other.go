//go:build !linux

package promtest

import "syscall"

// childAttributes: elsewhere Prometheus outlives a test binary that was killed.
func childAttributes() *syscall.SysProcAttr { return nil }
