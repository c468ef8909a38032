package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// TableName is the name of our own table in a pod's network namespace. Nobody else's is ever touched.
const TableName = "failoverdrill"

// tableOwner is the kernel's NFT_TABLE_F_OWNER: the table belongs to the socket that made it, nobody else can change it,
// and it goes when the socket is closed, by whatever end of its process.
const tableOwner = 2

// Cut is what one pod is cut off from, as the pod sees it.
type Cut struct {
	Peers     []netip.Addr     `json:"peers,omitempty"`     // everything from and to them
	Endpoints []netip.AddrPort `json:"endpoints,omitempty"` // TCP from and to these ports alone: the rest of the host goes on
	In        bool             `json:"in,omitempty"`        // packets that arrive are dropped
	Out       bool             `json:"out,omitempty"`       // packets that leave are dropped
}

// errLapsed means that the kernel took a cut away because it was not refreshed in time: it had a hole.
var errLapsed = errors.New("the cut lapsed: its rules ran out before they were refreshed")

// wall is a cut in place. It is made so that the kernel takes it away when we do not: the table belongs to the netlink
// socket, and goes with it when this process dies; what the rules look up are sets whose elements time out, so that a
// process that hangs keeps nothing cut either. Both live on this one lasting socket.
type wall struct {
	mu    sync.Mutex // one request at a time on the socket
	conn  *nftables.Conn
	sock  *netlink.Conn
	table *nftables.Table
	sets  []filledSet
	fd    int
}

// filledSet is a set with the keys that it must hold for as long as the cut lasts.
type filledSet struct {
	*nftables.Set
	keys [][]byte
}

// Counters are how many packets a cut has dropped.
type Counters struct {
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
}

// raise puts a cut into the network namespace behind fd. Unless refreshed, it is gone after timeout.
func raise(fd int, cut Cut, timeout time.Duration) (*wall, error) {
	w := &wall{fd: fd, table: &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}}
	conn, err := nftables.New(nftables.WithNetNSFd(fd), nftables.AsLasting(),
		nftables.WithSockOptions(func(s *netlink.Conn) error { w.sock = s; return nil }))
	if err != nil {
		return nil, fmt.Errorf("open netlink in the pod's network namespace: %w", err)
	}
	w.conn = conn
	if err := w.build(cut, timeout); err != nil {
		return nil, errors.Join(err, conn.CloseLasting()) // and the table with it
	}
	return w, nil
}

// build makes the table, and everything in it.
func (w *wall) build(cut Cut, timeout time.Duration) error {
	if err := w.own(); err != nil {
		return fmt.Errorf("create table %s: %w", TableName, err)
	}
	in, out := w.chain("input", nftables.ChainHookInput), w.chain("output", nftables.ChainHookOutput)
	for id, s := range setsOf(cut) {
		s.Table, s.ID, s.HasTimeout = w.table, uint32(id+1), true
		w.sets = append(w.sets, s.filledSet)
		if err := w.conn.AddSet(s.Set, elements(s.keys, timeout)); err != nil {
			return fmt.Errorf("add set %s: %w", s.Name, err)
		}
		if cut.In {
			w.rule(in, s.rule(s.Set, true), "drop what comes from "+s.Name)
		}
		if cut.Out {
			w.rule(out, s.rule(s.Set, false), "drop what goes to "+s.Name)
		}
	}
	if err := w.conn.Flush(); err != nil {
		return fmt.Errorf("put the rules in place: %w", err)
	}
	return nil
}

// own creates the table with the owner flag. google/nftables 0.3.0 sends every table with flags 0, so this one message
// is sent by hand, on the same socket.
func (w *wall) own() error {
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(TableName), 0)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, tableOwner)},
	})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	header := func(family, resource byte) []byte { return []byte{family, unix.NFNETLINK_V0, 0, resource} }
	const create = netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl
	_, err = w.sock.SendMessages([]netlink.Message{
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request}, Data: header(0, unix.NFNL_SUBSYS_NFTABLES)},
		{Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE, Flags: create},
			Data: append(header(unix.NFPROTO_INET, 0), attributes...)},
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: netlink.Request}, Data: header(0, unix.NFNL_SUBSYS_NFTABLES)},
	})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if _, err := w.sock.Receive(); err != nil {
		return fmt.Errorf("the kernel says: %w", err)
	}
	return nil
}

func (w *wall) chain(name string, hook *nftables.ChainHook) *nftables.Chain {
	return w.conn.AddChain(&nftables.Chain{Name: name, Table: w.table, Type: nftables.ChainTypeFilter, Hooknum: hook,
		Priority: nftables.ChainPriorityFilter, Policy: new(nftables.ChainPolicyAccept)})
}

func elements(keys [][]byte, timeout time.Duration) []nftables.SetElement {
	all := make([]nftables.SetElement, len(keys))
	for i, k := range keys {
		all[i] = nftables.SetElement{Key: k, Timeout: timeout}
	}
	return all
}

// refresh lets the cut last for timeout from now. Adding an element that is there does not extend it, so each is deleted
// and added in one batch, between which no packet passes. Once one has run out the kernel answers ENOENT: errLapsed.
func (w *wall) refresh(timeout time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sets {
		if err := w.conn.SetDeleteElements(s.Set, elements(s.keys, 0)); err != nil {
			return fmt.Errorf("refresh set %s: %w", s.Name, err)
		}
		if err := w.conn.SetAddElements(s.Set, elements(s.keys, timeout)); err != nil {
			return fmt.Errorf("refresh set %s: %w", s.Name, err)
		}
	}
	err := w.conn.Flush()
	if errors.Is(err, syscall.ENOENT) {
		return errLapsed
	}
	if err != nil {
		return fmt.Errorf("refresh the cut: %w", err)
	}
	return nil
}

// counters reads what was dropped so far.
func (w *wall) counters() (Counters, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var c Counters
	for name, sum := range map[string]*uint64{"input": &c.In, "output": &c.Out} {
		rules, err := w.conn.GetRules(w.table, &nftables.Chain{Name: name, Table: w.table})
		if err != nil {
			return c, fmt.Errorf("read the counters of chain %s: %w", name, err)
		}
		*sum = dropped(rules)
	}
	return c, nil
}

// remove takes the cut away. Closing the socket would do; deleting the table first makes sure that it is gone when this
// returns.
func (w *wall) remove() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn.DelTable(w.table)
	deleted := w.conn.Flush()
	closed := w.conn.CloseLasting()
	if there, err := tableThere(w.fd); err != nil || there {
		return fmt.Errorf("table %s is still there: %w", TableName, errors.Join(err, deleted, closed))
	}
	return nil
}

// tableThere looks, on a socket of its own, whether a table of ours is in the namespace.
func tableThere(fd int) (bool, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(fd))
	if err != nil {
		return false, fmt.Errorf("open netlink: %w", err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("list the tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == TableName {
			return true, nil
		}
	}
	return false, nil
}

func comment(text string) []byte { return userdata.AppendString(nil, userdata.TypeComment, text) }
