package recorded

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed testdata
var shipped embed.FS

// Shipped returns the recordings that come with eyrie, in the order that a demo plays them: one of each kind first.
func Shipped() ([]Recording, error) {
	byFolder := map[string][]Recording{}
	var folders []string
	longest := 0
	err := fs.WalkDir(shipped, "testdata", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".json") && !strings.HasSuffix(p, ".traj") {
			return err
		}
		data, err := shipped.ReadFile(p)
		if err != nil {
			return err
		}
		r, err := Load(path.Base(p), data)
		if err != nil {
			return err
		}
		dir := path.Dir(p)
		if byFolder[dir] == nil {
			folders = append(folders, dir)
		}
		byFolder[dir] = append(byFolder[dir], r)
		longest = max(longest, len(byFolder[dir]))
		return nil
	})
	var all []Recording
	for i := range longest {
		for _, dir := range folders {
			if i < len(byFolder[dir]) {
				all = append(all, byFolder[dir][i])
			}
		}
	}
	return all, err
}
