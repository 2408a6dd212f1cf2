// Package pagetest goes an owner's ways through the page in a real Chromium, with the keyboard alone, at the widths of a phone
// and of a
// desk. All of it is tests, which need the build tag "integration".
package pagetest
