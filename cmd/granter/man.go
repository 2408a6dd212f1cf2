//go:build man

package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// addMan adds the command by which a release makes its manual pages: what writes them is not in the binary that is released.
func addMan(root *cobra.Command) {
	root.AddCommand(&cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			never := time.Unix(0, 0).UTC() // the same pages from every build
			return doc.GenManTree(cmd.Root(),
				&doc.GenManHeader{Title: "GRANTER", Section: "1", Source: "granter", Date: &never}, args[0])
		},
	})
}
