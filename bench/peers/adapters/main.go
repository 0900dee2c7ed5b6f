// Command adapters serves /echo and /sink with a Go WebSocket library:
// adapters LIBRARY PORT. It is a module of its own so that eyrie's stays free of
// these dependencies; `eyrie bench peers` builds it.
package main

import (
	"fmt"
	"os"
)

// servers serve on a loopback port until the process ends. Each library is set
// up as its own documentation has it for speed.
var servers = map[string]func(port string) error{
	"gws": serveGWS, "gorilla": serveGorilla,
}

func main() {
	if len(os.Args) != 3 || servers[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: adapters gws|gorilla PORT")
		os.Exit(2)
	}
	if err := servers[os.Args[1]](os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
