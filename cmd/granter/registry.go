package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/granter/granter/grant/registry"
)

// registrySettings are how the schema registry is reached: where it is, a spec says.
type registrySettings struct {
	urls  []string
	user  string
	files tlsFiles
}

// registryFlags are of commands that read users out of a campaign's topic.
func (c *connection) registryFlags(f *pflag.FlagSet) {
	r := &c.registry
	f.StringSliceVar(&r.urls, "registry", nil,
		"URL of the schema registry, where it is not reached at the spec's source.registry; several: one after the other is "+
			"asked")
	f.StringVar(&r.user, "registry-user", "",
		"user of the schema registry; the password comes from GRANTER_REGISTRY_PASSWORD or the file "+
			"GRANTER_REGISTRY_PASSWORD_FILE. A bearer's token comes from GRANTER_REGISTRY_TOKEN or the file "+
			"GRANTER_REGISTRY_TOKEN_FILE")
	f.StringVar(&r.files.ca, "registry-ca", "", "PEM file of the schema registry's certificate authority (default: the system's)")
	f.StringVar(&r.files.cert, "registry-cert", "", "PEM file of the client certificate for the schema registry")
	f.StringVar(&r.files.key, "registry-key", "", "PEM file of that certificate's key")
}

// access is what the flags and the environment say.
func (r *registrySettings) access() (a registry.Access, err error) {
	a.URLs, a.User = r.urls, r.user
	for _, text := range r.urls {
		if err := registry.CheckURL(text); err != nil {
			return a, usageError(fmt.Errorf("--registry: %w", err))
		}
	}
	if a.Password, err = password("GRANTER_REGISTRY_PASSWORD"); err != nil {
		return a, err
	}
	if a.Token, err = password("GRANTER_REGISTRY_TOKEN"); err != nil {
		return a, err
	}
	switch {
	case a.User != "" && a.Token != "":
		return a, usageError(errors.New("--registry-user and GRANTER_REGISTRY_TOKEN exclude each other: the registry is asked " +
			"by one"))
	case a.User != "" && a.Password == "":
		return a, usageError(errors.New("--registry-user needs the password in GRANTER_REGISTRY_PASSWORD or " +
			"GRANTER_REGISTRY_PASSWORD_FILE"))
	}
	a.TLS, err = r.files.config()
	return a, err
}
