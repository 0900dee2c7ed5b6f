// Package config owns the one typed configuration of the appliance: every key
// with its default, its meaning and its check. A key can be set by a flag, by
// an EYRIE_… variable or in one YAML file, in that order of precedence.
//
// No other package reads flags, environment or configuration files. config.go
// holds the keys, file.go the YAML file, origin.go where a value came from.
package config
