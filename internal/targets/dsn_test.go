package targets

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// trap makes a file that never lets go of whoever opens it to read: a pipe that nobody writes to, as /dev/zero never ends.
func trap(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trap")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	return path
}

// within fails a test whose body was caught by a trap.
func within(t *testing.T, d time.Duration, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatal("it opened the file, and is still reading it")
	}
}

// TestT1NoDSNNamesAFile: a DSN is read in the server, before the requester was asked for any right. Each key of the driver
// that reads a file, a service or a library, or that changes the session, is refused in both forms, by its name.
func TestT1NoDSNNamesAFile(t *testing.T) {
	file := trap(t)
	for _, key := range []string{"sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcertmode", "sslcrl", "sslcrldir", "passfile",
		"service", "servicefile", "krbsrvname", "krbspn", "gsslib", "gssencmode", "options", "search_path", "sslnegotiation", "hostaddr"} {
		for form, dsn := range map[string]string{
			"url":        "postgres://u:hunter2@o.shop/db?sslmode=require&" + key + "=" + file,
			"url escape": "postgres://u:hunter2@o.shop/db?%" + fmt.Sprintf("%x", key[0]) + key[1:] + "=" + file,
			"words":      "host=o.shop user=u password=hunter2 " + key + " = '" + file + "'",
			"twice":      "host=o.shop " + key + "=" + file + " " + key + "=''",
			"beside a secret": "postgres://u:" + drill.SecretRef(drill.SecretKey{Name: "a", Key: "b"}) + "@o.shop/db?" +
				key + "=" + file,
		} {
			t.Run(key+"/"+form, func(t *testing.T) {
				within(t, 5*time.Second, func() {
					summary, detail := checkDSN(dsn)
					assert.Equal(t, "Invalid dsn", summary)
					assert.Contains(t, detail, "may not have the key "+key+". ")
					assert.NotContains(t, detail, "hunter2")
					_, err := newDialer(dsn, "")
					assert.Error(t, err, "what comes from a Secret shows in the run only")
				})
			})
		}
	}
	summary, detail := checkDSN("postgres://u:hun?ter2=x@o.shop/db")
	assert.Equal(t, "Invalid dsn", summary)
	assert.NotContains(t, detail, "ter2", "an unknown key may be a part of a password")
	assert.Contains(t, detail, "%3F")
}

// TestT1TheEnvironmentHasNoSay: the server's own environment and home say nothing about whom a run connects to, and how.
func TestT1TheEnvironmentHasNoSay(t *testing.T) {
	file := trap(t)
	for _, name := range []string{"PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSERVICEFILE", "PGSERVICE", "PGPASSFILE"} {
		t.Setenv(name, file)
	}
	for name, value := range map[string]string{"PGHOST": "elsewhere", "PGPORT": "1", "PGUSER": "root", "PGPASSWORD": "root", "PGDATABASE": "root",
		"PGSSLMODE": "verify-full", "PGOPTIONS": "-c role=root", "PGTZ": "UTC", "PGTARGETSESSIONATTRS": "standby", "PGCONNECT_TIMEOUT": "1",
		"PGREQUIREAUTH": "password", "PGCHANNELBINDING": "disable", "PGAPPNAME": "x", "PGSSLCERTMODE": "require", "PGSSLNEGOTIATION": "direct",
		"PGMINPROTOCOLVERSION": "3.2", "HOME": filepath.Dir(file)} {
		t.Setenv(name, value)
	}
	within(t, 5*time.Second, func() {
		d, err := newDialer("postgres://o.shop:6432", "")
		require.NoError(t, err)
		c := d.config
		assert.Equal(t, []any{"o.shop", uint16(6432), "", "", ""}, []any{c.Host, c.Port, c.User, c.Password, c.Database})
		assert.Equal(t, map[string]string{"application_name": "drill"}, c.RuntimeParams)
		assert.Equal(t, "scram-sha-256,none", c.RequireAuth)
		assert.Equal(t, []string{"prefer", "allow", "", "3.0"}, []string{c.ChannelBinding, c.SSLCertMode, c.SSLNegotiation, c.MinProtocolVersion})
		assert.Nil(t, c.ValidateConnect)
		assert.Zero(t, c.ConnectTimeout)
		assert.Empty(t, c.TLSConfig.Certificates)
		assert.Nil(t, c.TLSConfig.RootCAs)
	})
}

// TestDSNForms reads what people and operators write.
func TestDSNForms(t *testing.T) {
	want := login{host: "o.shop", port: 6432, user: "a b", password: "p@/?#%'\\ s", database: "orders"}
	for _, dsn := range []string{
		"postgres://a%20b:p%40%2F%3F%23%25'%5C%20s@o.shop:6432/orders",
		"postgresql://a%20b:p%40%2F%3F#%25'%5C%20s@o.shop:6432/orders?",
		"postgres://o.shop:6432?user=a%20b&password=p%40/%3F%23%25'%5C%20s&dbname=orders&connect_timeout=5&application_name=x",
		`host=o.shop port = 6432 user='a b' password='p@/?#%\'\\ s' dbname=orders target_session_attrs=read-write`,
		"\n host=o.shop port=6432 user=a\\ b password=p@/?#%\\'\\\\\\ s database='orders'\n",
	} {
		got, err := readDSN(dsn)
		require.NoError(t, err, dsn)
		assert.Equal(t, want, got, dsn)
	}
	v6, err := readDSN("postgres://u@[::1]:1/d")
	require.NoError(t, err)
	assert.Equal(t, login{host: "::1", port: 1, user: "u", database: "d"}, v6)
	for dsn, says := range map[string]string{
		"": "postgres://", "  ": "postgres://", "orders": "postgres://", "host": "postgres://", "host='o": "postgres://", "a b=c": "postgres://",
		"postgres://": "no host", "postgres://u@/db": "no host", "host=/var/run user=u": "no name", "postgres://%2Frun/db": "no name",
		"host=@x": "no name", "postgres://o:0/d": "postgres://", "postgres://o:66000/d": "postgres://", "postgres://o:x/d": "postgres://",
		"postgres://a,b/d": "several hosts", "host=a,b": "several hosts", "postgres://a/d?host=a,b": "several hosts", "host=a port=1,2": "postgres://",
		"postgres://a/d?sslmode=on": "sslmode is one of", "postgres://a/d?ssl=yes": "ssl may only", "postgres://a/d?connect_timeout=x": "whole number",
		"postgres://a/d?require_auth=gss": "require_auth lists", "postgres://a/d?require_auth=!none": "require_auth lists", "postgres://a/d?channel_binding=x": "channel_binding is one of",
		"postgres://a/d?host": "postgres://", "postgres://%zz/d": "postgres://", "host=a\x00": "postgres://", "postgres://" + strings.Repeat("a", maxDSN): "bytes",
	} {
		_, err := readDSN(dsn)
		require.ErrorContains(t, err, says, "%.60q", dsn)
	}
}

// authority makes a CA and a certificate for a name that it signed.
func authority(t *testing.T, name string) (ca string, server tls.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	require.NoError(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}
}

// impostor answers as a PostgreSQL server that asks for a password in some way, and returns what it was told.
func impostor(t *testing.T, ask pgproto3.BackendMessage, cert *tls.Certificate) (addr string, told func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	heard := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			heard <- serveImpostor(conn, ask, cert)
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String(), func() string {
		select {
		case s := <-heard:
			return s
		case <-time.After(5 * time.Second):
			return "nobody came"
		}
	}
}

func serveImpostor(conn net.Conn, ask pgproto3.BackendMessage, cert *tls.Certificate) string {
	defer func() { conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	backend := pgproto3.NewBackend(conn, conn)
	first, err := backend.ReceiveStartupMessage()
	if _, ssl := first.(*pgproto3.SSLRequest); ssl && cert != nil {
		_, _ = conn.Write([]byte("S"))
		secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}})
		if err := secure.Handshake(); err != nil {
			return "no TLS"
		}
		conn = secure
		backend = pgproto3.NewBackend(conn, conn)
		_, err = backend.ReceiveStartupMessage()
	}
	if err != nil {
		return "no startup"
	}
	backend.Send(ask)
	_ = backend.Flush()
	_ = backend.SetAuthType(pgproto3.AuthTypeCleartextPassword)
	message, err := backend.Receive()
	if p, ok := message.(*pgproto3.PasswordMessage); ok && err == nil {
		return "password " + p.Password
	}
	return "nothing"
}

// TestT19NoPasswordForAnImpostor: who answers at a member's address is told the password only when it has proved to be the
// server, or when the DSN says so.
func TestT19NoPasswordForAnImpostor(t *testing.T) {
	ca, cert := authority(t, "orders.shop")
	plain, md5 := &pgproto3.AuthenticationCleartextPassword{}, &pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}}
	for _, tt := range []struct {
		name, query, ca string
		ask             pgproto3.BackendMessage
		cert            *tls.Certificate
		told            string
	}{
		{"cleartext without TLS", "sslmode=disable", "", plain, nil, "nothing"},
		{"md5 without TLS", "sslmode=disable", "", md5, nil, "nothing"},
		{"no authentication", "sslmode=disable", "", &pgproto3.AuthenticationOk{}, nil, "nothing"},
		{"TLS that is not verified", "sslmode=require", "", plain, &cert, "nothing"},
		{"the DSN says so", "sslmode=disable&require_auth=password", "", plain, nil, "password hunter2"},
		{"a CA of somebody else", "", func() string { other, _ := authority(t, "orders.shop"); return other }(), plain, &cert, "no TLS"},
		{"TLS that is verified", "", ca, plain, &cert, "password hunter2"},
		{"the chain alone", "sslmode=verify-ca", ca, plain, &cert, "password hunter2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, told := impostor(t, tt.ask, tt.cert)
			d, err := newDialer("postgres://app:hunter2@orders.shop/orders?"+tt.query, tt.ca)
			require.NoError(t, err)
			host, port, _ := net.SplitHostPort(addr)
			var n uint16
			_, err = fmt.Sscan(port, &n)
			require.NoError(t, err)
			_, err = d.open(t.Context(), host, n)
			require.Error(t, err)
			assert.Equal(t, tt.told, told(), "%v", err)
			assert.NotContains(t, err.Error(), "hunter2")
			if tt.told == "nothing" {
				assert.ErrorContains(t, err, "require_auth")
			}
		})
	}
}

// TestCAIsText: a certificate authority comes as text, and no sslmode of the DSN passes it by.
func TestCAIsText(t *testing.T) {
	ca, _ := authority(t, "orders.shop")
	for text, says := range map[string]string{"/etc/ssl/ca.pem": "no path", "": "no certificate", strings.Repeat("x", maxCA+1): "may have"} {
		summary, detail := checkCA(text)
		assert.Equal(t, "Invalid ca", summary)
		assert.Contains(t, detail, says)
	}
	_, err := newDialer("postgres://app:pw@orders.shop/orders?sslmode=require", ca)
	require.ErrorContains(t, err, "would not ask it")
	d, err := newDialer("postgres://app:pw@orders.shop/orders", ca)
	require.NoError(t, err)
	assert.Equal(t, "orders.shop", d.config.TLSConfig.ServerName)
	assert.False(t, d.config.TLSConfig.InsecureSkipVerify)
	assert.Empty(t, d.config.Fallbacks, "never without TLS")
	assert.Empty(t, d.config.RequireAuth)

	spec, diags := decode(t, "namespace = \"shop\"\nselector = \"a=b\"\ndsn = \"postgres://u:p@o/d\"\nca = secret(\"orders-ca\", \"ca.crt\")")
	require.False(t, diags.HasErrors(), diags.Error())
	kind, _ := Find("postgresql")
	assert.Equal(t, []SecretRef{{Namespace: "shop", SecretKey: drill.SecretKey{Name: "orders-ca", Key: "ca.crt"}}}, kind.Secrets(spec))
}
