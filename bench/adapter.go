package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
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
