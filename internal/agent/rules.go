package agent

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// peerSet is one of the four sets of a cut, with the rule that looks it up.
type peerSet struct {
	filledSet
	rule func(set *nftables.Set, in bool) []expr.Any
}

// setsOf sorts what a pod is cut off from into sets of one type each; those with nothing in them are left out.
func setsOf(cut Cut) []peerSet {
	var peers4, peers6, ports4, ports6 [][]byte
	for _, a := range cut.Peers {
		if a = a.Unmap(); a.Is4() {
			peers4 = append(peers4, a.AsSlice())
		} else {
			peers6 = append(peers6, a.AsSlice())
		}
	}
	for _, e := range cut.Endpoints {
		key := addressAndPort(e)
		if e.Addr().Unmap().Is4() {
			ports4 = append(ports4, key)
		} else {
			ports6 = append(ports6, key)
		}
	}
	all := []peerSet{
		{filledSet{&nftables.Set{Name: "peers4", KeyType: nftables.TypeIPAddr}, peers4}, matchAddress(ipv4)},
		{filledSet{&nftables.Set{Name: "peers6", KeyType: nftables.TypeIP6Addr}, peers6}, matchAddress(ipv6)},
		{filledSet{&nftables.Set{Name: "endpoints4", Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)}, ports4}, matchEndpoint(ipv4)},
		{filledSet{&nftables.Set{Name: "endpoints6", Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeInetService)}, ports6}, matchEndpoint(ipv6)},
	}
	filled := all[:0]
	for _, s := range all {
		if len(s.keys) > 0 {
			filled = append(filled, s)
		}
	}
	return filled
}

// addressAndPort is a key of a concatenated set: each part is padded to four bytes.
func addressAndPort(e netip.AddrPort) []byte {
	key := binary.BigEndian.AppendUint16(e.Addr().Unmap().AsSlice(), e.Port())
	return append(key, 0, 0)
}

// family is where an IP version keeps its addresses, and which register is free after one.
type family struct {
	protocol               byte
	length                 uint32
	source, destination    uint32 // offsets in the network header
	registerAfterAnAddress uint32
}

var (
	ipv4 = family{protocol: unix.NFPROTO_IPV4, length: 4, source: 12, destination: 16, registerAfterAnAddress: unix.NFT_REG32_01}
	ipv6 = family{protocol: unix.NFPROTO_IPV6, length: 16, source: 8, destination: 24, registerAfterAnAddress: unix.NFT_REG_2}
)

// Both chains see the other side's address in the same set: as the source of what arrives, and as the destination of
// what leaves.
func (f family) address(in bool) []expr.Any {
	offset := f.destination
	if in {
		offset = f.source
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{f.protocol}},
		&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.length},
	}
}

func matchAddress(f family) func(*nftables.Set, bool) []expr.Any {
	return func(set *nftables.Set, in bool) []expr.Any {
		return append(f.address(in), &expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set.Name, SetID: set.ID})
	}
}

func matchEndpoint(f family) func(*nftables.Set, bool) []expr.Any {
	return func(set *nftables.Set, in bool) []expr.Any {
		port := uint32(2) // the destination's
		if in {
			port = 0
		}
		match := []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{unix.IPPROTO_TCP}},
		}
		match = append(match, f.address(in)...)
		return append(match,
			&expr.Payload{DestRegister: f.registerAfterAnAddress, Base: expr.PayloadBaseTransportHeader, Offset: port, Len: 2},
			&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set.Name, SetID: set.ID})
	}
}

// rule appends a rule that counts and drops what matches.
func (w *wall) rule(chain *nftables.Chain, match []expr.Any, why string) {
	w.conn.AddRule(&nftables.Rule{Table: w.table, Chain: chain, UserData: comment(why),
		Exprs: append(match, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})})
}

// dropped sums the packets that the rules counted.
func dropped(rules []*nftables.Rule) uint64 {
	var sum uint64
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				sum += c.Packets
			}
		}
	}
	return sum
}
