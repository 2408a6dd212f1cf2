package main

import "syscall"

// childAttributes lets the kernel kill a granter when the tests die in whatever way.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
