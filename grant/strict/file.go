package strict

import (
	"io"
	"os"
)

// ReadFile returns what a file has, up to one byte more than the most that is to be read: that tells "too large" from "just
// fits", however large the file is or claims to be.
func ReadFile(path string, most int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // which file to read is the caller's to say
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most+1))
}
