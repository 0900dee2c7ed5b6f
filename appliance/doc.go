// Command eyrie watches a fleet of AI agents live: it makes each event durable
// before it acknowledges it, shows it within milliseconds, keeps the numbers as
// time series and raises what wants a person.
//
// This package is the command line: one file a verb, main.go what they share.
// `eyrie serve` runs the appliance (Linux); every other verb is a client.
package main
