package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Authority signs the certificates of one run. It is made in the runner's memory and never leaves it.
type Authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pool *x509.CertPool
}

// Certificate is a certificate and its key, as PEM.
type Certificate struct{ Cert, Key []byte }

// NewAuthority makes an authority whose certificates are good for some time.
func NewAuthority(run string, life time.Duration) (*Authority, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "run " + run},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		// The nodes' clocks need not agree to the minute.
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life + time.Hour)}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the run's key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, fmt.Errorf("make the run's authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the run's authority: %w", err)
	}
	a := &Authority{cert: cert, key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a, nil
}

// PEM is the authority's own certificate, by which both ends know each other.
func (a *Authority) PEM() []byte { return pemOf("CERTIFICATE", a.cert.Raw) }

// Issue makes the certificate of an agent or of the runner.
func (a *Authority) Issue(name string) (Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Certificate{}, fmt.Errorf("number the certificate of %s: %w", name, err)
	}
	use := x509.ExtKeyUsageServerAuth
	if name == RunnerName {
		use = x509.ExtKeyUsageClientAuth
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Certificate{}, fmt.Errorf("make the key of %s: %w", name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return Certificate{}, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, fmt.Errorf("encode the key of %s: %w", name, err)
	}
	return Certificate{Cert: pemOf("CERTIFICATE", der), Key: pemOf("PRIVATE KEY", private)}, nil
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// ServerConfig is how an agent shows itself, and whom alone it listens to.
func ServerConfig(authority []byte, c Certificate) (*tls.Config, error) {
	pool, own, err := load(authority, c)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own},
		// The runner's certificate alone is good for a client.
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, nil
}

// clientConfig is how the runner shows itself to the agent of that name.
func (a *Authority) clientConfig(c Certificate, name string) (*tls.Config, error) {
	_, own, err := load(a.PEM(), c)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, RootCAs: a.pool, ServerName: name}, nil
}

func load(authority []byte, c Certificate) (*x509.CertPool, tls.Certificate, error) {
	own, err := tls.X509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, own, fmt.Errorf("read the certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, own, errors.New("read the run's authority: it holds no certificate")
	}
	return pool, own, nil
}
