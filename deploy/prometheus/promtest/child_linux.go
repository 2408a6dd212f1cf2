package promtest

import "syscall"

// childAttributes lets the kernel kill Prometheus when this process dies in whatever way, a test's time-out included.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
