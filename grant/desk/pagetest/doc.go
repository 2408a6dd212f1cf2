// Package pagetest drives the operations page in a real Chromium, against a desk that tells it whatever a test wants. All of
// it is tests, which need the build tag "integration".
package pagetest
