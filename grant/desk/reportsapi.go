package desk

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
)

// importedReports is what became of earlier reports, in the order of the request.
type importedReports struct {
	Programme string `json:"programme"`
	*intake.ImportedReports

	Reports []importedReport `json:"reports"`
}

// importedReport is what became of one.
type importedReport struct {
	Outcome  store.Outcome    `json:"outcome"` // taken, again or refused
	Problems []intake.Problem `json:"problems,omitempty"`
}

// importReports takes in what owners reported before claims could be filed, as granter claims reports import does.
func (a *api) importReports(r *http.Request, who Principal) (any, error) {
	desk, err := a.filing()
	if err != nil {
		return nil, err
	}
	text, err := readAll(r, maxClaimsBytes)
	if err != nil {
		return nil, err
	}
	var body struct {
		Reports []json.RawMessage `json:"reports"`
		DryRun  *bool             `json:"dry_run"`
	}
	dry := false
	body.DryRun = &dry // null would make none of it
	if err := strictly("body", text, &body); err != nil {
		return nil, err
	}
	if body.DryRun == nil {
		return nil, newProblem(kindMalformed, "dry_run: write true or false, or leave it out")
	}
	if n := len(body.Reports); n == 0 || n > maxClaims {
		return nil, newProblem(kindMalformed, fmt.Sprintf("%d reports: want 1 to %d", n, maxClaims))
	}
	got, err := desk.TakeReports(r.Context(), text, body.Reports, store.Actor{Name: who.Name, Duty: claims.Intake}, dry)
	if errors.Is(err, claims.ErrIllegal) {
		return nil, newProblem(kindInvalid, err.Error())
	}
	if err != nil {
		return nil, err
	}
	out := importedReports{desk.Programme.Name, got, make([]importedReport, len(got.Results))}
	for i, one := range got.Results {
		out.Reports[i] = importedReport{one.Outcome, intake.Problems(one.Err)}
		if one.Err != nil {
			out.Reports[i].Outcome = refusedRow
		}
	}
	a.cfg.Log.Info("earlier reports were imported", "who", who.Name, "taken", got.Taken, "again", got.Again, "wrong", got.Wrong,
		"dry_run", dry)
	return out, nil
}
