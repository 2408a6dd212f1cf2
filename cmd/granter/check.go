package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command { return &cobra.Command{Use: "check"} }

func (j *job) preflight(context.Context) error { return nil }
