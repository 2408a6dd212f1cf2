//go:build !integration

package main

func prepare() (stop func()) { return func() {} }
