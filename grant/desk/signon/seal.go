package signon

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// purpose is what a sealed text is for: one for a sign-in that was begun opens as no session.
type purpose string

const (
	forAttempt purpose = "granter sign-in 1"
	forSession purpose = "granter session 1"
)

// minKey is how long a line of a file of session keys, or a secret that one follows from, is at least: 128 random bits in base64.
const minKey = 22

var errSeal = errors.New("it was not sealed here, or by a key that counts no more")

// seals are the keys of what browsers keep and cannot read: the first seals, all open.
type seals []cipher.AEAD

// newSeals makes keys of text, one of each line, for one client of one issuer.
func newSeals(text, about string) (out seals, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if len(line) < minKey {
			return nil, fmt.Errorf("a key of sessions has %d characters, want %d at least (openssl rand -base64 32)",
				len(line), minKey)
		}
		key, err := hkdf.Key(sha256.New, []byte(line), nil, "granter desk sessions\n"+about, 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		// Its nonces are random: far from 2^32 texts are ever sealed by one key.
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		out = append(out, aead)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no key of sessions")
	}
	return out, nil
}

func (s seals) seal(what purpose, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sealed := s[0].Seal(nil, nil, text, []byte(what)) //nolint:gosec // this AEAD draws its own nonce
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (s seals) open(what purpose, sealed string, v any) error {
	text, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return errSeal
	}
	for _, key := range s {
		if plain, err := key.Open(nil, nil, text, []byte(what)); err == nil {
			return json.Unmarshal(plain, v)
		}
	}
	return errSeal
}
