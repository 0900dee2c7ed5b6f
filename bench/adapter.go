package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/child"
)

// buildAdapter builds the module in a folder, which has a peer that eyrie's own
// module is to be free of, as the file exe. It fails where there is no such folder,
// no Go, or no way to the modules it needs.
func buildAdapter(ctx context.Context, from, exe string) error {
	if from == "" { // it would be this folder
		return errors.New("no folder of it is named")
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", exe, ".")
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// startAdapter starts a server of such a module, and returns the first line that it
// says: where it listens.
func startAdapter(ctx context.Context, exe string, args ...string) (*child.Process, string, error) {
	p, err := child.Start(child.Command(ctx, exe, args))
	if err != nil {
		return nil, "", err
	}
	at, err := p.Out.ReadString('\n')
	if err != nil {
		p.Kill()
		return nil, "", fmt.Errorf("%s does not say where it listens: %w", filepath.Base(exe), err)
	}
	return p, strings.TrimSpace(at), nil
}

// adapterGrace is how long such a server may take to end.
const adapterGrace = 30 * time.Second
