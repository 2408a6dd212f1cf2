package userid

// HashStep is the distance between the inputs of SplitMix64's consecutive numbers.
const HashStep = 0x9e3779b97f4a7c15

// Hash is SplitMix64's (Steele, Lea and Flood 2014): a bijection in which every bit of the result depends on every bit of x.
// Hash(seed+i*HashStep) is the i-th number of the stream that a seed starts. It decides who is in a canary, so it must
// never change.
func Hash(x uint64) uint64 {
	x += HashStep
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
