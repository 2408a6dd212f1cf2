package devtest

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes lets the kernel kill the server when this process dies in whatever way, a test's time-out included.
// Strictly it is the death of the starting thread that counts, but the Go runtime ends no thread except one that a
// goroutine locked and then exited on.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// childExited looks whether the child has ended, and leaves it to be waited for.
func childExited(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}
