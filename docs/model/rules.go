package model

// Rules are the protocol's rules. The zero value has all of them; a field that
// is set takes its rule away.
type Rules struct {
	AckBeforeSync     bool // answers leave before their commit is durable
	WelcomeBeforeSync bool // only the welcome does
	NoFence           bool // what a former link left in flight is still taken
	NoEpochOrder      bool // a lower epoch is let in
	NoHelloOrder      bool // of two hellos of one life the one that is read last speaks
	NoDuplicates      bool // a number seen before is stored again
	NoGaps            bool // a number beyond next is stored
	NoContent         bool // other content under a settled number is acknowledged
	NoContentless     bool // a number settled without an event equals any event
	FirstSkips        bool // first beyond next moves next and records nothing
	FirstIgnored      bool // first beyond next does nothing
	AckOfFrame        bool // a number beyond next is acknowledged and not taken
	ShedUnrecorded    bool // a shed number is passed over without a record
	LostOverwrites    bool // lost takes numbers that are settled
	SameEpoch         bool // a restore begins no epoch of the log
	TrustNext         bool // a client takes next for its own across epochs of the log
	TrustLong         bool // and after a silence as long as an expiry
	TrustSecond       bool // and from the second welcome on
	AckOfNext         bool // an ack names all that is settled, also beyond the frame it answers
	ForgetOnSend      bool // a client forgets an event once it is written
	NumberFromOne     bool // a life without state numbers from 1, not from next, and trusts next
	ExpireLinked      bool // a producer expires though a link speaks for it
}
