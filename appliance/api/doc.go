// Package api is the HTTP surface: routes, JSON shapes, errors as RFC 9457
// problems, sign-in, the OpenAPI document, and the front end's files.
//
// It reads the views and the log and writes through intake; it holds no state
// of its own but caches of immutable files. Handlers run concurrently, one
// goroutine a request. server.go starts and stops, route.go finds a handler,
// auth.go says who asks, problem.go what went wrong; every other file is named
// after the noun it serves.
package api
