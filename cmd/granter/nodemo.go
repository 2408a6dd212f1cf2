//go:build !demo

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newDemo says where the demo is: its Kafka and its Redis would be the larger part of the binary.
func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:                "demo",
		Short:              "Watch a whole campaign, with Kafka and Redis inside the process (in another build: make demo)",
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(*cobra.Command, []string) error {
			return usageError(errors.New("this build is without the demo, whose Kafka and Redis have no place in production: " +
				`run "make demo" in granter's source tree`))
		},
	}
}
