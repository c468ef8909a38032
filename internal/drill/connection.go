package drill

import "time"

// Connection is the state of a connection to one member that drill opened before anything was broken. A process that is
// being killed may refuse new connections and still serve those that are open, so only these show when it is dead.
type Connection struct {
	State ConnectionState
	Since time.Time // when drill noticed that the connection had ended or was silent; else zero
}

// ConnectionState says whether the member's process may still serve the connection.
type ConnectionState int

// The states of a connection.
const (
	ConnectionNone   ConnectionState = iota // there was no connection to this very member
	ConnectionOpen                          // open; the member answers, or may still answer
	ConnectionEnded                         // the member's side closed or reset it
	ConnectionSilent                        // open, but nothing has been answered for so long that the member counts as gone
)
