package kube

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestT7LimitsAreReadStrictly: a limit that is misspelt or cannot be read limits nothing, so it is an error.
func TestT7LimitsAreReadStrictly(t *testing.T) {
	def, err := ParseLimits(nil)
	require.NoError(t, err)
	require.Equal(t, DefaultLimits(), def)
	again, err := ParseLimits(def.Data())
	require.NoError(t, err)
	require.Equal(t, def, again)

	full := map[string]string{LimitTimeout: "1h", LimitHold: "90s", LimitMembers: "3", LimitShare: "0.5", LimitNodeShare: "0.25",
		LimitKinds: "shop=pod_kill,kill_primary\n*=pod_kill\nbank=", LimitProbes: "10.0.0.0/8, 127.0.0.1\nmetadata.example"}
	l, err := ParseLimits(full)
	require.NoError(t, err)
	require.Equal(t, Limits{Timeout: time.Hour, Hold: 90 * time.Second, Members: 3, Share: 0.5, NodeShare: 0.25,
		Kinds:      map[string][]string{"shop": {"pod_kill", "kill_primary"}, "*": {"pod_kill"}, "bank": {}},
		ProbeAllow: []string{"10.0.0.0/8", "127.0.0.1", "metadata.example"}}, l)
	again, err = ParseLimits(l.Data())
	require.NoError(t, err)
	require.Equal(t, l, again)

	for _, bad := range []map[string]string{
		{"max-timeouts": "1h"}, {LimitTimeout: "0s"}, {LimitTimeout: "-1h"}, {LimitTimeout: ""}, {LimitHold: "30"}, {LimitMembers: "0"}, {LimitMembers: "1.5"},
		{LimitShare: "0"}, {LimitShare: "1.1"}, {LimitShare: "NaN"}, {LimitNodeShare: "50%"}, {LimitKinds: "shop"}, {LimitKinds: "Shop=pod_kill"},
		{LimitKinds: "shop=a shop=b"}, {LimitProbes: "10.0.0.0/99"}, {LimitProbes: "a_b"},
	} {
		_, err := ParseLimits(bad)
		_, ok := AsLimitError(err)
		require.True(t, ok, "%v", bad)
		for key := range bad {
			require.ErrorContains(t, err, key)
		}
		require.ErrorContains(t, err, "An administrator must correct it")
	}
}

// TestT7ALimitNamesItself: a refusal says which limit, who sets it and how.
func TestT7ALimitNamesItself(t *testing.T) {
	l, err := ParseLimits(map[string]string{LimitKinds: "shop=pod_kill\nbank=\n*=kill_primary"})
	require.NoError(t, err)
	require.Empty(t, l.Exceeded(Asked{Timeout: 2 * time.Hour, Hold: 30 * time.Minute, Namespaces: []string{"shop"}, Kinds: []string{"pod_kill"}, Hosts: []string{"orders.shop"}}))
	all := l.Exceeded(Asked{Timeout: 100 * time.Hour, Hold: 99 * time.Hour, Namespaces: []string{"shop", "bank", "other"}, Kinds: []string{"pod_kill"}, Hosts: []string{"169.254.169.254"}})
	require.Len(t, all, 5)
	for i, words := range [][]string{{"100h0m0s", "2h0m0s", LimitTimeout}, {"99h0m0s", "30m0s", LimitHold}, {"namespace bank", "no kind", LimitKinds},
		{"namespace other", "allows kill_primary", LimitKinds}, {"169.254.169.254", "link-local", LimitProbes}} {
		for _, w := range append(words, "administrator sets with drill install --"+words[2]) {
			require.Contains(t, all[i], w)
		}
	}
}

// TestT7SharesForbidManyAndNeverOne.
func TestT7SharesForbidManyAndNeverOne(t *testing.T) {
	l := DefaultLimits()
	for _, c := range []struct {
		hurt     Hurt
		exceeded string
	}{
		{Hurt{Victims: 1, Members: 1}, ""},
		{Hurt{Victims: 2, Members: 3}, ""},
		{Hurt{Victims: 3, Members: 3}, LimitShare},
		{Hurt{Victims: 2, Members: 2}, LimitShare},
		{Hurt{Victims: 21, Members: 100}, LimitMembers},
		{Hurt{Nodes: 1, AllOf: 1, Victims: 1, Members: 3}, ""},
		{Hurt{Nodes: 1, AllOf: 3, Victims: 1, Members: 3}, ""},
		{Hurt{Nodes: 2, AllOf: 3, Victims: 1, Members: 3}, LimitNodeShare},
	} {
		got := strings.Join(l.Overdone(c.hurt), "; ")
		if c.exceeded == "" {
			require.Empty(t, got, "%+v", c.hurt)
			continue
		}
		require.Contains(t, got, "limit "+c.exceeded, "%+v", c.hurt)
		require.NotContains(t, got, "; ", "one limit alone")
	}
}

// TestARepeatedInstallKeepsLimits: what is not given stays, what is given replaces, an empty text sets the default again.
func TestARepeatedInstallKeepsLimits(t *testing.T) {
	client := fake.NewClientset()
	l, err := SetLimits(t.Context(), client, Namespace, map[string]string{LimitTimeout: "1h", LimitShare: "0.5"})
	require.NoError(t, err)
	require.Equal(t, time.Hour, l.Timeout)
	require.Equal(t, 30*time.Minute, l.Hold)
	_, err = SetLimits(t.Context(), client, Namespace, nil)
	require.NoError(t, err)
	_, err = SetLimits(t.Context(), client, Namespace, map[string]string{LimitHold: "5m", LimitTimeout: ""})
	require.NoError(t, err)
	l, err = ReadLimits(t.Context(), client, Namespace)
	require.NoError(t, err)
	require.Equal(t, []any{2 * time.Hour, 5 * time.Minute, 0.5}, []any{l.Timeout, l.Hold, l.Share})

	m, err := client.CoreV1().ConfigMaps(Namespace).Get(t.Context(), LimitsMap, metav1.GetOptions{})
	require.NoError(t, err)
	m.Data["max-hodl"] = "1m"
	_, err = client.CoreV1().ConfigMaps(Namespace).Update(t.Context(), m, metav1.UpdateOptions{})
	require.NoError(t, err)
	_, err = ReadLimits(t.Context(), client, Namespace)
	require.ErrorContains(t, err, "max-hodl")
	_, err = SetLimits(t.Context(), client, Namespace, map[string]string{LimitHold: "1m"})
	require.ErrorContains(t, err, "max-hodl", "an installation does not hide it")
	_, err = SetLimits(t.Context(), client, Namespace, map[string]string{"max-hodl": ""})
	require.NoError(t, err)
}

func reachOf(t *testing.T, allow string) *Reach {
	t.Helper()
	l, err := ParseLimits(map[string]string{LimitProbes: allow})
	require.NoError(t, err)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: "172.18.0.4"}, {Type: corev1.NodeExternalIP, Address: "2001:db8::4"}, {Type: corev1.NodeHostName, Address: "n"}}}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1"}}}
	r, err := NewReach(t.Context(), &Client{Interface: fake.NewClientset(node, service), Host: "https://172.18.0.9:6443"}, l)
	require.NoError(t, err)
	return r
}

// TestT14WhatAProbeMayReach: addresses that belong to machines, clouds and the API server are denied in every form.
func TestT14WhatAProbeMayReach(t *testing.T) {
	r := reachOf(t, "")
	for _, ip := range []string{"169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:169.254.169.254", "::ffff:127.0.0.1",
		"64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::7f00:1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
		"10.96.0.1", "172.18.0.9", "172.18.0.4", "2001:db8::4", "::ffff:172.18.0.4", "224.0.0.1"} {
		err := r.Check(netip.MustParseAddr(ip))
		require.ErrorIs(t, err, drill.ErrDenied, ip)
		require.ErrorContains(t, err, "drill install --"+LimitProbes)
		require.Equal(t, drill.SignalDenied, drill.NetworkSignal(&net.OpError{Op: "dial", Err: err}))
	}
	for _, ip := range []string{"10.96.0.2", "10.244.1.7", "172.18.0.5", "192.168.1.1", "8.8.8.8", "2001:db8::5", "fd00::1"} {
		require.NoError(t, r.Check(netip.MustParseAddr(ip)), ip)
	}
	for _, host := range []string{"localhost", "LOCALHOST.", "metadata.google.internal", "metadata", "127.0.0.1", "[::1]"} {
		require.Error(t, r.CheckHost(host), host)
	}
	require.NoError(t, r.CheckHost("checkout.shop"))
	require.NoError(t, (*Reach)(nil).Check(netip.MustParseAddr("127.0.0.1")))

	some := reachOf(t, "172.18.0.0/16 127.0.0.1 metadata.google.internal")
	require.NoError(t, some.Check(netip.MustParseAddr("172.18.0.4")))
	require.NoError(t, some.Check(netip.MustParseAddr("::ffff:127.0.0.1")))
	require.Error(t, some.Check(netip.MustParseAddr("127.0.0.2")))
	require.Error(t, some.Check(netip.MustParseAddr("10.96.0.1")))
	require.NoError(t, some.CheckHost("metadata.google.internal"))
}

// TestT14TheDialIsDenied: the address of the connection decides, after DNS and after each redirect, against real listeners.
func TestT14TheDialIsDenied(t *testing.T) {
	reached := 0
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached++; _, _ = fmt.Fprint(w, "credentials") }))
	defer secret.Close()
	port := secret.Listener.Addr().(*net.TCPAddr).Port
	get := func(r *Reach, url string) error {
		client := &http.Client{Transport: &http.Transport{DialContext: r.Bound(net.Dialer{}, nil).DialContext, DisableKeepAlives: true}}
		res, err := client.Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	for _, url := range []string{secret.URL, fmt.Sprintf("http://localhost:%d", port), fmt.Sprintf("http://0.0.0.0:%d", port), fmt.Sprintf("http://[::ffff:127.0.0.1]:%d", port)} {
		require.ErrorIs(t, get(reachOf(t, ""), url), drill.ErrDenied, url)
	}
	require.Zero(t, reached, "nothing was sent")
	require.NoError(t, get(reachOf(t, "127.0.0.0/8"), secret.URL))
	require.NoError(t, get(reachOf(t, "localhost"), fmt.Sprintf("http://localhost:%d", port)), "a host that is allowed by its name")
	require.NoError(t, get(nil, secret.URL), "outside of the cluster it is the requester's own machine")
	require.Equal(t, 3, reached)

	// An answer from an allowed address that leads to a denied one.
	front := httptest.NewUnstartedServer(http.RedirectHandler(secret.URL, http.StatusFound))
	l, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	front.Listener = l
	front.Start()
	defer front.Close()
	require.ErrorIs(t, get(reachOf(t, "127.0.0.2"), front.URL), drill.ErrDenied)
	require.Equal(t, 3, reached)

	// A member's own address is allowed, because the cluster named it.
	own := func(ip netip.Addr) bool { return ip == netip.MustParseAddr("127.0.0.1") }
	conn, err := reachOf(t, "").Bound(net.Dialer{}, own).DialContext(t.Context(), "tcp", secret.Listener.Addr().String())
	require.NoError(t, err)
	_ = conn.Close()
}

// TestT14ANameIsCheckedByWhereItLeads.
func TestT14ANameIsCheckedByWhereItLeads(t *testing.T) {
	err := reachOf(t, "").Resolve(t.Context(), "localhost.localdomain")
	if found, _ := net.LookupHost("localhost.localdomain"); len(found) == 0 {
		t.Log("this machine does not know localhost.localdomain")
	} else {
		require.ErrorIs(t, err, drill.ErrDenied)
	}
	require.NoError(t, reachOf(t, "").Resolve(t.Context(), "no-such-host.invalid"))
	require.ErrorIs(t, reachOf(t, "").Resolve(t.Context(), "169.254.169.254"), drill.ErrDenied)
}
