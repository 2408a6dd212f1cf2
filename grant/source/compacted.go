package source

import (
	"context"
	"errors"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Compacted reports whether Kafka may remove records of the topic one by one, when their keys come again. Who may not see the
// topic's settings has to reckon with it.
func (s *Source) Compacted(ctx context.Context) (compacted bool, err error) {
	err = s.retry(ctx, "asking for the topic's settings", func() error {
		topic := kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: s.cfg.Topic.Topic, ConfigNames: []string{"cleanup.policy"},
		}
		resp, err := s.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
			Resources: []kafka.DescribeConfigRequestResource{topic},
		})
		if err == nil {
			for _, r := range resp.Resources {
				err = errors.Join(err, r.Error)
				for _, e := range r.ConfigEntries {
					compacted = compacted || strings.Contains(e.ConfigValue, "compact")
				}
			}
		}
		if kind, _ := Classify(err); kind == KindAuthorization {
			compacted, err = true, nil
		}
		return err
	})
	return compacted, err
}
