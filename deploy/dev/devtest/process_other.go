//go:build !linux

package devtest

import "syscall"

// childAttributes: elsewhere servers outlive a test binary that was killed.
func childAttributes() *syscall.SysProcAttr { return nil }

// childExited: elsewhere a server that fails to start is noticed when it does not answer in time.
func childExited(int) bool { return false }
