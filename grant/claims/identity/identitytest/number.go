package identitytest

import (
	"fmt"

	"github.com/granter/granter/grant/claims"
)

// Number is the i-th valid business number, ten digits.
func Number(i int) string {
	for last := range 10 {
		serial := 1 + i%9999
		office, kind := 101+i/9999%800, 1+i/9999/800%99
		if n, err := claims.ParseBusinessNumber(fmt.Sprintf("%03d%02d%04d%d", office, kind, serial, last)); err == nil {
			return string(n)
		}
	}
	panic("every nine digits have a tenth")
}
