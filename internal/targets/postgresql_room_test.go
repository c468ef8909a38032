package targets

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestEverySessionIsCounted: what a drill with every check asks room for is what its probes may use.
func TestEverySessionIsCounted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	target := l.target(func(s *postgresqlSpec) { s.WriteRate, s.FreshRate = 20, 5 })
	target.Checks = []drill.Check{drill.CheckReads, drill.CheckOwn, drill.CheckSum, drill.CheckRegister}
	target.tables.checks = target.Checks
	l.open(target)
	most := 0
	for _, p := range target.Probes() {
		i := p.Info()
		switch p := p.(type) {
		case *pinned:
		case *reads: // its clients are spread over the members
			assert.GreaterOrEqual(t, target.readers()*len(target.opened), i.Sessions)
			most += target.readers()
		case *sum: // it reads on every member
			most += i.Sessions - sumReaders*(len(p.readers)-1)
		default:
			most += i.Sessions
		}
	}
	need := target.need()
	t.Logf("the probes' sessions on one member: %d; asked for: %d", most, need)
	assert.Equal(t, most+ownConnections, need)
	require.NoError(t, target.Close(t.Context()))
}

func TestTightestLimit(t *testing.T) {
	server := room{most: 100, reserved: 3, used: 40, role: -1, roleUsed: 9, database: -1, dbUsed: 9}
	for _, tc := range []struct {
		name string
		edit func(*room)
		free int
		by   string
	}{
		{"the server", func(*room) {}, 57, "max_connections is 100, with 3 reserved for superusers and 40 in use"},
		{"the role", func(r *room) { r.role = 12 }, 3, `the CONNECTION LIMIT of role "drill" is 12, with 9 in use`},
		{"the database", func(r *room) { r.role, r.database = 12, 11 }, 2, `the CONNECTION LIMIT of database "orders" is 11, with 9 in use`},
		{"used up", func(r *room) { r.database = 0 }, 0, `the CONNECTION LIMIT of database "orders" is 0, with 9 in use`},
	} {
		r := server
		tc.edit(&r)
		free, by := r.free("drill", "orders")
		assert.Equal(t, tc.free, free, tc.name)
		assert.Equal(t, tc.by, by)
	}
}

// TestNoSessionWithoutAServer: what could not be opened is no session, not one that breaks whoever puts it back.
func TestNoSessionWithoutAServer(t *testing.T) {
	d, err := newDialer("postgres://app@127.0.0.1:1/orders?sslmode=disable", "")
	require.NoError(t, err)
	s, err := d.service(t.Context())
	require.Error(t, err)
	assert.Nil(t, s)
	p := &place{dial: d.service, ids: new(atomic.Int64), most: 2}
	require.Error(t, p.warm(t.Context(), 2))
}
