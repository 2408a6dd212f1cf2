package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
)

// excludeFlags are those of exclude alone.
func (f *actFlags) excludeFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.topic, "topic", "",
		"Kafka topic of users to exclude: the key is the ID in decimal, the value the reason (empty: --reason)")
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
	input := grant.Input{Topic: f.topic, Format: grant.FormatDecimal}
	src, err := source.New(source.Config{Kafka: k, Topic: input, Campaign: c.Name, RetryFor: f.timeout})
	if err != nil {
		return nil, nil, err
	}
	defer src.Close() //nolint:errcheck // only idle connections are closed
	bounds, err := src.Bounds(ctx)
	if err != nil {
		return nil, nil, unreachable(err, f.brokers)
	}
	file, seen, h := &acts.File{}, map[string]bool{}, sha256.New()
	if _, err := src.Identify(ctx); err != nil {
		return nil, nil, unreachable(err, f.brokers)
	}
	for _, partition := range bounds.Partitions() {
		end := bounds.Ends[partition]
		next, err := src.Read(ctx, partition, bounds.Firsts[partition], end, func(offset int64, key, value []byte) error {
			fmt.Fprintf(h, "%q %q\n", key, value)
			if seen[string(key)] {
				return nil
			}
			seen[string(key)] = true
			row := acts.Row{Reason: string(value), Fields: []string{string(key), string(value)}}
			row.User, row.Err = userid.Parse(string(key), c.Input.MaxID)
			row.Err = cmp.Or(row.Err, grant.ValidateWhy(cmp.Or(row.Reason, f.reason)))
			if row.Err != nil {
				row.Err = fmt.Errorf("partition %d, offset %d: %w", partition, offset, row.Err)
			}
			file.Rows = append(file.Rows, row)
			return nil
		})
		if err == nil && next < end {
			err = fmt.Errorf("partition %d of %s: an open transaction holds the records from offset %d on back",
				partition, f.topic, next)
		}
		if err != nil {
			return nil, nil, unreachable(err, f.brokers)
		}
	}
	if len(file.Rows) == 0 {
		return nil, nil, usageError(fmt.Errorf("the topic %s names no user", f.topic))
	}
	return file, h.Sum(nil), nil
}
