package claims

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSignalsOfOneClaim(t *testing.T) {
	p := announced(false)
	kinds := func(loss Won, opened Date, shared map[SignalKind][]string, peers Peers, judged ...Signal) (out []SignalKind) {
		f := lost(loss)
		f.Opened = opened
		a, err := p.Assess(f)
		require.NoError(t, err)
		for _, s := range p.Signals(f, &a, shared, peers, judged) {
			out = append(out, s.Kind)
			require.NotEmpty(t, s.What)
		}
		return out
	}
	const old = Date("2020-01-01")
	for loss, want := range map[Won]bool{
		296_999: false, 297_000: true, 299_999: true, 300_000: false, 494_999: false, 495_000: true, 499_999: true,
		500_000: false,
		0:       false, -1: false, 9_999_999: false,
	} {
		require.Equal(t, want, len(kinds(loss, old, nil, Peers{})) == 1, loss)
	}
	require.Empty(t, kinds(100, "2022-10-14", nil, Peers{}))
	require.Equal(t, []SignalKind{OpenedLater}, kinds(100, "2022-10-15", nil, Peers{}))

	require.Equal(t, []SignalKind{AbovePeers}, kinds(100_000, old, nil, Peers{20, 10_000}))
	require.Empty(t, kinds(99_999, old, nil, Peers{20, 10_000}))
	require.Empty(t, kinds(100_000, old, nil, Peers{19, 10_000}), "too few to compare with")
	require.Empty(t, kinds(100_000, old, nil, Peers{20, 0}))

	shared := map[SignalKind][]string{SamePhone: {"b", "a"}, SameAccount: {"c"}}
	require.Equal(t, []SignalKind{SameAccount, SamePhone}, kinds(100, old, shared, Peers{}))
	judged := Signal{Kind: SamePhone, Others: []string{"a", "b"}}
	require.Equal(t, []SignalKind{SameAccount}, kinds(100, old, shared, Peers{}, judged), "not a duplicate is remembered")
	shared[SamePhone] = []string{"a", "b", "d"}
	require.Equal(t, []SignalKind{SameAccount, SamePhone}, kinds(100, old, shared, Peers{}, judged), "a third claim is news")
}
