// Package signon lets people in by whom an OpenID provider says they are: the authorization code flow with PKCE, and a session in
// a sealed cookie. It promises who somebody is, as the provider vouched for it in an answer to a question of this browser, and
// nothing about what they may do.
package signon
