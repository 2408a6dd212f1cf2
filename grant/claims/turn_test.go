package claims

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheClockStopsWhileTheOwnerMustAct(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2023, 3, n, 9, 0, 0, 0, time.UTC) }
	stays := []Stay{
		{
			Received,
			day(1),
		},
		{Checking, day(2)},
		{DocumentsMissing, day(3)},
		{Checking, day(10)},
		{InReview, day(11)},
		{Asked, day(13)},
		{Checking, day(15)},
		{InReview, day(15)},
		{Approved, day(16)},
		{PaymentSent, day(17)},
	}
	require.Equal(t, 7*24*time.Hour, Waited(stays, day(20)), "2 + 3 + 2 days: neither the owner's nor the bank's count")
	require.Equal(t, 2*24*time.Hour, Waited(stays[:2], day(3)))
	require.Zero(t, Waited(nil, day(3)))
	require.Zero(t, Waited([]Stay{{Received, day(5)}}, day(4)), "a clock that was put back takes nothing away")
}

func TestEveryStateIsSomebodysTurn(t *testing.T) {
	for _, s := range States() {
		require.Equal(t, s.Final(), s.Turn() == TurnDone, s)
	}
}
