package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/exclusion"
	"github.com/granter/granter/grant/source"
)

// excludeFlags are those of exclude alone.
func (f *actFlags) excludeFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.topic, "topic", "",
		"Kafka topic of users to exclude: the key is the ID as text, the value the reason (empty: --reason)")
	cmd.Flags().BoolVar(&f.listed, "listed", false,
		"exclude whom the lists of the spec name, as a run does before it grants anybody: ahead of the start, or without a pause")
	f.kafkaFlags(cmd.Flags())
}

// fromTopic reads users out of a topic, up to where it ends now. A user may be there again, and a reason may follow that is
// another one: the first counts.
func (f *actFlags) fromTopic(cmd *cobra.Command, c *grant.Campaign) (*acts.File, []byte, error) {
	ctx := cmd.Context()
	k, err := f.kafka()
	if err != nil {
		return nil, nil, err
	}
	file, seen, h := &acts.File{}, map[grant.UserID]bool{}, sha256.New()
	cfg := source.Config{Kafka: k, Campaign: c.Name, RetryFor: f.timeout}
	visit := func(at exclusion.Place, user grant.UserID, reason string, bad error) error {
		fmt.Fprintf(h, "%q %q %v\n", user.String(), reason, bad)
		if bad == nil {
			if seen[user] {
				return nil
			}
			seen[user] = true
		}
		row := acts.Row{User: user, Reason: reason, Fields: []string{user.String(), reason}}
		if row.Err = cmp.Or(bad, grant.ValidateWhy(cmp.Or(reason, f.reason))); row.Err != nil {
			row.Err = fmt.Errorf("partition %d, offset %d: %w", at.Partition, at.Offset, row.Err)
		}
		file.Rows = append(file.Rows, row)
		return nil
	}
	if err := exclusion.ReadTopic(ctx, cfg, f.topic, &c.Input, visit); err != nil {
		return nil, nil, unreachable(err, f.brokers)
	}
	if len(file.Rows) == 0 {
		return nil, nil, usageError(fmt.Errorf("the topic %s names no user", f.topic))
	}
	return file, h.Sum(nil), nil
}
