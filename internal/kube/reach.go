package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/failoverdrill/drill/internal/drill"
)

// Reach bounds the addresses that a drill's file makes a runner connect to: a requester must not get the network of
// drill's own namespace. What it denies is decided by the address of each connection, after DNS, so that no name and no
// redirect leads around it. A nil Reach denies nothing.
type Reach struct {
	limits  Limits
	servers []netip.Addr // where the API server answers
	nodes   []netip.Addr
}

// nodesPage is how many nodes one request lists.
const nodesPage = 250

// NewReach learns the addresses of the API server and of the nodes.
func NewReach(ctx context.Context, client *Client, limits Limits) (*Reach, error) {
	r := &Reach{limits: limits}
	if u, err := url.Parse(client.Host); err == nil {
		r.addServer(u.Hostname())
	}
	service, err := client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("learn the addresses of the API server, which probes may not reach: %w", err)
	}
	for _, ip := range append(service.Spec.ClusterIPs, service.Spec.ClusterIP) {
		r.addServer(ip)
	}
	endpoints, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("learn the addresses of the API server, which probes may not reach: %w", err)
	}
	for _, e := range endpoints.Endpoints {
		for _, ip := range e.Addresses {
			r.addServer(ip)
		}
	}
	if r.nodes, err = nodeAddresses(ctx, client); err != nil {
		return nil, fmt.Errorf("learn the addresses of the nodes, which probes may not reach: %w", err)
	}
	return r, nil
}

func (r *Reach) addServer(host string) {
	if ip, err := netip.ParseAddr(host); err == nil {
		r.servers = append(r.servers, ip.Unmap())
	}
}

func nodeAddresses(ctx context.Context, client kubernetes.Interface) ([]netip.Addr, error) {
	var all []netip.Addr
	options := metav1.ListOptions{Limit: nodesPage}
	for {
		list, err := client.CoreV1().Nodes().List(ctx, options)
		if err != nil {
			return nil, err
		}
		for _, n := range list.Items {
			for _, a := range n.Status.Addresses {
				if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type != corev1.NodeHostName {
					all = append(all, ip.Unmap())
				}
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

// DeniedError is the error of a connection that the limits of the cluster's owner deny.
type DeniedError struct {
	Address string
	What    string // the class of address
}

func (e *DeniedError) Error() string {
	return fmt.Sprintf("it would reach %s, %s, which the cluster's owner does not allow (limit %s of ConfigMap %s/%s, which an administrator sets with drill install --%s)",
		e.Address, e.What, LimitProbes, Namespace, LimitsMap, LimitProbes)
}

// Is makes it a drill.ErrDenied, which has a signal of its own.
func (e *DeniedError) Is(target error) bool { return target == drill.ErrDenied }

// metadataAddresses are where clouds tell a machine its own credentials, outside the link-local range.
var metadataAddresses = []string{"100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"}

// metadataNames are those of the same; they lead to link-local addresses.
var metadataNames = []string{"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}

// Check denies an address.
func (r *Reach) Check(ip netip.Addr) error {
	if r == nil {
		return nil
	}
	ip = embedded(ip.WithZone("").Unmap())
	if r.allowed(ip) {
		return nil
	}
	what := ""
	switch {
	case ip.IsUnspecified(), ip.IsLoopback():
		what = "a loopback address"
	case ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast(), ip.IsInterfaceLocalMulticast():
		what = "a link-local address, such as that of a cloud's metadata"
	case slices.Contains(metadataAddresses, ip.String()):
		what = "the address of a cloud's metadata"
	case slices.Contains(r.servers, ip):
		what = "an address of the API server"
	case slices.Contains(r.nodes, ip):
		what = "an address of a node"
	default:
		return nil
	}
	return &DeniedError{Address: ip.String(), What: what}
}

// embedded is the IPv4 address inside an IPv6 address of a translator (NAT64, 6to4, or an old IPv4-compatible one), and any other as it is.
func embedded(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip), netip.MustParsePrefix("::/96").Contains(ip) && !ip.IsLoopback() && !ip.IsUnspecified():
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

// allowed reports whether probe-allow names the address.
func (r *Reach) allowed(ip netip.Addr) bool {
	for _, one := range r.limits.ProbeAllow {
		if p, err := netip.ParsePrefix(one); err == nil && p.Contains(ip) {
			return true
		}
		if a, err := netip.ParseAddr(one); err == nil && a.Unmap() == ip {
			return true
		}
	}
	return false
}

// Named reports whether probe-allow names the host, which may then be anywhere.
func (r *Reach) Named(host string) bool {
	return r == nil || slices.ContainsFunc(r.limits.ProbeAllow, func(one string) bool { return sameHost(one, host) })
}

func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// CheckHost denies a host as a drill's file names it, as far as that can be told without DNS.
func (r *Reach) CheckHost(host string) error {
	if r.Named(host) {
		return nil
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return r.Check(ip)
	}
	if slices.ContainsFunc(metadataNames, func(name string) bool { return sameHost(name, host) }) {
		return &DeniedError{Address: host, What: "a cloud's metadata"}
	}
	if sameHost(host, "localhost") {
		return &DeniedError{Address: host, What: "a loopback address"}
	}
	return nil
}

// Resolve denies a host when one of its addresses is denied now. A host that is not known here is none.
func (r *Reach) Resolve(ctx context.Context, host string) error {
	if r.Named(host) {
		return nil
	}
	if err := r.CheckHost(host); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // the probe says so itself
	}
	for _, ip := range found {
		if err := r.Check(ip); err != nil {
			denied, _ := errors.AsType[*DeniedError](err)
			return &DeniedError{Address: host + " at " + denied.Address, What: denied.What}
		}
	}
	return nil
}

// Bound returns the dialer with every connection checked, after DNS and right before it is made. Own tells addresses that
// are always allowed; it may be nil.
func (r *Reach) Bound(d net.Dialer, own func(netip.Addr) bool) *Dialer {
	return &Dialer{reach: r, plain: d, own: own}
}

// Dialer makes connections that a Reach allows.
type Dialer struct {
	reach *Reach
	plain net.Dialer
	own   func(netip.Addr) bool
}

// DialContext connects as net.Dialer does, or fails with an *DeniedError.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || d.reach.Named(host) {
		return d.plain.DialContext(ctx, network, address)
	}
	if err := d.CheckHost(host); err != nil {
		return nil, err
	}
	bounded := d.plain
	bounded.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if d.own != nil && d.own(to.Addr().Unmap()) {
			return nil
		}
		return d.reach.Check(to.Addr())
	}
	return bounded.DialContext(ctx, network, address)
}

// CheckHost denies a host, as far as that can be told without DNS.
func (d *Dialer) CheckHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil && d.own != nil && d.own(ip.Unmap()) {
		return nil
	}
	return d.reach.CheckHost(host)
}
