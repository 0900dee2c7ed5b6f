// Package recorded turns recorded runs of agents into events and plays them live. Formats: who-and-when (failed
// runs of several agents), SWE-agent trajectories, OpenHands trajectories, langfuse traces, and eyrie's own
// events as JSON lines. format.go recognises them, one file each converts, replay.go plays, shipped.go holds the
// recordings that come with eyrie (testdata, with sources and licences). Where a recording has no times they are
// made up from the length of what was said, and every event says so (ts_from estimated). Converters are pure.
package recorded
