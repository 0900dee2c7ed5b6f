package node

import "eyrie/appliance/capacity"

// Reading returns what the Watch is given.
func (n *Node) Reading() capacity.Reading { return n.reading(n.newCounters(), n.views()) }
