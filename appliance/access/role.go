package access

// Role says what the holder of a key may do. Each role from Viewer on includes
// the one before; Agent stands apart: it writes its own events and reads
// nothing.
type Role string

// The roles.
const (
	Agent    Role = "agent"    // send events
	Viewer   Role = "viewer"   // read
	Operator Role = "operator" // read, send, note, command
	Admin    Role = "admin"    // all, keys and profiles included
)

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// Valid reports whether r is a role.
func (r Role) Valid() bool { return r == Agent || r.rank() > 0 }

// Includes reports whether a holder of r may do what min may.
func (r Role) Includes(min Role) bool {
	if min == Agent {
		return r == Agent || r.rank() >= Operator.rank()
	}
	return r.rank() >= min.rank() && r.rank() > 0
}
