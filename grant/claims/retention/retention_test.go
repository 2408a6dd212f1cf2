package retention_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/retention"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

const shipped = "../../../deploy/programmes/retention.yaml"

func TestTheShippedPolicyKeepsWhatTheLawAsks(t *testing.T) {
	p, err := retention.Load(shipped)
	require.NoError(t, err)
	require.Equal(t, retention.Period{Years: 2}, p[store.ClassAccess])
	require.Equal(t, retention.Period{Years: 5}, p[store.ClassDecisions])
	require.Equal(t, retention.Period{Years: 3}, p[store.ClassLetters])
	require.Len(t, p, len(store.Classes()))
}

func TestBadPoliciesAreRefusedWithEveryProblem(t *testing.T) {
	_, err := retention.Parse("r.yaml", []byte("documents: soon\nletters: 0 days\nphotos: 1 year\n"))
	require.ErrorContains(t, err,
		`r.yaml:1: documents: "soon" is not allowed: write a time such as 90 days, 18 months or 5 years`)
	require.ErrorContains(t, err, "r.yaml:2: letters:")
	require.ErrorContains(t, err, "r.yaml:3: photos: unknown field")
	_, err = retention.Parse("r.yaml", []byte("decisions: 1 year\ncontact: 2 years\ndocuments: 1 year\nletters: 1 "+
		"year\nnotices: 1 year\n"))
	require.ErrorContains(t, err, "r.yaml: contact: they are kept longer than decisions")
	require.ErrorContains(t, err, "r.yaml: access: they are kept longer than decisions", "for good is longer")
	require.ErrorContains(t, err, "r.yaml: reports: they are kept longer than decisions")
	_, err = retention.Parse("r.yaml", []byte("{}"))
	require.ErrorContains(t, err, "nothing would ever go")
	_, err = retention.Parse("r.yaml", []byte("- documents"))
	require.Error(t, err)
}

func TestEachClassGoesWhenItsTimeHasCome(t *testing.T) {
	p := retention.Policy{
		store.ClassNotices: {Months: 1}, store.ClassDocuments: {Years: 1}, store.ClassLetters: {Years: 1},
		store.ClassContact: {Years: 3}, store.ClassAccess: {Years: 2}, store.ClassDecisions: {Years: 5},
	}
	end := time.Date(2023, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		now  time.Time
		want []store.Class
	}{
		{end, nil},
		{end.AddDate(0, 1, 0).Add(-time.Second), nil},
		{end.AddDate(0, 1, 0), []store.Class{store.ClassNotices}},
		{end.AddDate(1, 0, 0), []store.Class{store.ClassDocuments, store.ClassLetters, store.ClassNotices}},
		{end.AddDate(5, 0, 0), []store.Class{
			store.ClassDocuments, store.ClassLetters, store.ClassNotices, store.ClassContact, store.ClassDecisions,
		}},
	} {
		got, looks := p.Due(test.now)(end)
		require.Equal(t, test.want, got, test.now)
		if len(got) < 5 {
			require.Equal(t, test.now.AddDate(-2, 0, 0), looks)
		} else {
			require.Equal(t, test.now, looks)
		}
	}
	none, _ := p.Due(end.AddDate(9, 0, 0))(time.Time{})
	require.Empty(t, none, "it has not ended")
}

func TestAPurgeByThePolicyIsProven(t *testing.T) {
	s, p := storetest.Memory(t)
	c := storetest.Receive(t, s, p, 2, 10)[0]
	require.NoError(t, s.Commit(t.Context(), []store.Step{{Claim: c, Action: claims.Withdraw, By: store.Owner}}, nil))
	policy, err := retention.Load(shipped)
	require.NoError(t, err)
	by := store.Actor{Name: "seo", Duty: claims.Privacy}
	for years, want := range map[int]map[store.Class]int{
		0: {}, 6: {store.ClassContact: 3, store.ClassDecisions: 2},
	} {
		got, err := retention.Purge(t.Context(), s, p, policy, time.Now().AddDate(years, 0, 0), by, "old", years == 0)
		require.NoError(t, err)
		require.Equal(t, want, got.Records)
	}
	proof, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
	require.Equal(t, 1, proof.Erased)
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(shipped)
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = retention.Parse("f", data) })
}
