package population

import (
	"math/bits"

	"github.com/granter/granter/grant/userid"
)

// permutation is a pseudo-random bijection of 0…n−1 in constant memory. It mixes the smallest 2ᵇ ≥ n values by rounds of
// steps that each can be undone modulo 2ᵇ (xor a constant, multiply by an odd one, fold the upper half into the lower),
// and walks the cycle until it is back below n: fewer than two rounds of it on average, since 2ᵇ < 2n.
type permutation struct {
	n, mask uint64
	fold    uint8
	keys    [permutationRounds]permutationKey
}

type permutationKey struct{ xor, factor uint64 }

// permutationRounds is enough that neighbours land as far apart as random numbers do (see the tests).
const permutationRounds = 3

func newPermutation(n, seed uint64) permutation {
	b := 0
	if n > 1 {
		b = bits.Len64(n - 1)
	}
	p := permutation{n: n, mask: 1<<b - 1, fold: uint8((b + 1) / 2)}
	for i := range p.keys {
		p.keys[i] = permutationKey{
			xor:    mix(seed, uint64(2*i)) & p.mask,
			factor: mix(seed, uint64(2*i+1)) | 1,
		}
	}
	return p
}

// at returns the image of i, which must be below n.
func (p *permutation) at(i uint64) uint64 {
	for {
		for _, k := range &p.keys {
			i = (i ^ k.xor) * k.factor & p.mask
			i ^= i >> p.fold
		}
		if i < p.n {
			return i
		}
	}
}

// mix is the i-th number of the stream that a seed starts.
func mix(seed, i uint64) uint64 { return userid.Hash(seed + i*userid.HashStep) }

// below reduces a random 64-bit number to 0…n−1.
func below(random, n uint64) uint64 {
	hi, _ := bits.Mul64(random, n)
	return hi
}
