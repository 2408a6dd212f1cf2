// Package intaketest generates claims, for tests, measurements and demonstrations.
package intaketest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/intake"
)

var (
	received   = time.Date(2022, 10, 20, 0, 0, 0, 0, time.UTC)
	industries = []string{"restaurants", "retail", "accommodation", "education"}
)

// Form is the i-th claim of a small business, always the same: six of ten lost less than 300,000 won, some nothing, and one of
// ten more than 500,000. One of fifty gives an account that the bank says is somebody else's.
func Form(i int) *intake.Form {
	r := rand.New(rand.NewPCG(uint64(i), 11))
	var loss claims.Won
	switch n := r.IntN(100); {
	case n < 60:
		loss = 10_000 + claims.Won(r.IntN(280_000))
	case n < 85:
		loss = 300_000 + claims.Won(r.IntN(190_000))
	case n < 95:
		loss = 500_000 + claims.Won(r.IntN(2_000_000))
	default:
		loss = -claims.Won(r.IntN(100_000))
	}
	sales := 1_000_000 + claims.Won(r.IntN(5_000_000))
	at := received.Add(time.Duration(r.IntN(14*24*3600)) * time.Second)
	holder := "김사장" // whom the bank of package identitytest knows
	if r.IntN(50) == 0 {
		holder = "이대표" // somebody else's account: a person must look
	}
	return &intake.Form{
		ID: fmt.Sprintf("k-%07d", i), BusinessNumber: identitytest.Number(i), BusinessName: fmt.Sprint("가게 ", i),
		Representative: "김사장", Industry: industries[r.IntN(len(industries))], Opened: "2020-03-01", OutageSales: &sales,
		WeekSales: []claims.Won{sales + loss, sales + loss - 1000}, Phone: fmt.Sprintf("010-%04d-%04d", i/10_000, i%10_000),
		Email: fmt.Sprintf(
			"owner%d@example.com",
			i,
		), Bank: "004", Account: fmt.Sprintf("110-%09d", i), Holder: holder, Received: &at,
	}
}

// Record is the i-th claim as a record of a topic.
func Record(i int) []byte {
	data, err := json.Marshal(Form(i))
	if err != nil {
		panic(err)
	}
	return data
}
